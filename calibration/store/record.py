"""The record of a calibration: its results, its promise and its reference values, immutable, and its JSON form."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from calibration.budgets import COUNTED, SHIFT_SECONDS, Budget
from calibration.camera import CameraReference, Range, SourceReference, ViewReference
from calibration.errors import CalibrationError
from calibration.statistics import Rule, Threshold, autocorrelation_time

_SCHEMA = "inspectd.calibration/1"


class Origin(TypedDict):
    """What a calibration is valid for, when it was made, and for whom."""

    camera: str
    bundle_sha256: str
    engine: str
    created_at: datetime
    """With a time zone."""
    who: str
    """Name of the person or program that requested it."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame of the window that was left out of the calibration."""

    index: int
    """Its place in the window, from 0."""
    score: float
    """Its score."""
    why: str
    """The reason, in words."""
    thumbnail_png: bytes | None = None
    """A thumbnail of it; None for all but the highest scores."""


@dataclass(frozen=True, slots=True)
class ScoreReference:
    """The distribution of the good scores of a window, against which drift is measured."""

    centre: float
    """Median, units of the scores."""
    scale: float
    """Interquartile range over 1.349: the standard deviation if the scores are normal."""
    autocorrelation_time: float
    """Frames with as much information as one independent frame, ≥ 1."""
    effective_sample_size: float
    """Number of independent frames behind centre and scale."""


def among(
    scores: NDArray[np.float64], counted: NDArray[np.bool_], kept_out: Sequence[tuple[int, float]]
) -> NDArray[np.float64]:
    """Return the `counted` scores of a window [N], bool [N], and the images kept out of it among them, in order.

    >>> among(np.array([1.0, 2.0, 3.0]), np.array([True, False, True]), [(0, 10.0), (2, 11.0), (2, 12.0), (3, 13.0)])
    array([10.,  1., 11., 12.,  3., 13.])
    """
    places = [place for place, _ in kept_out]
    whole = np.insert(scores, places, [score for _, score in kept_out])
    return np.asarray(whole[np.insert(counted, places, True)], dtype=np.float64)


def score_reference(scores: NDArray[np.float64]) -> ScoreReference:
    """Return the reference of good scores [N] in order of capture.

    >>> score_reference(np.random.default_rng(0).normal(5.0, 2.0, size=4000)).scale.__round__(2)
    2.01
    """
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    time = autocorrelation_time(scores)
    return ScoreReference(
        centre=float(middle),
        scale=float(high - low) / 1.349 or float(np.std(scores)),
        autocorrelation_time=time,
        effective_sample_size=scores.size / time,
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration: immutable."""

    camera: str
    """Name of the camera, as in the settings."""
    bundle_sha256: str
    """sha256 of the model bundle that gave the scores."""
    engine: str
    """Name of the engine that ran the bundle."""
    created_at: datetime
    """UTC."""
    who: str
    """Name of the person or program that requested it."""
    budget: Budget
    rule: Rule
    confidence: float
    """Of the promise, 0.5 to 1."""
    quiet_frames: int
    """Frames below the threshold that end an alarm episode."""
    frames_per_second: float
    """Rate of the line, as measured or set."""
    first_frame: int
    """The camera's index of the first frame of the window."""
    last_frame: int
    """The camera's index of its last frame."""
    threshold: Threshold
    promise: str
    """The promise in plain language."""
    left_out: tuple[LeftOut, ...]
    """Frames left out, highest score first."""
    left_out_cost: str
    """Their effect on the promise, in words; empty if none was left out."""
    scores: NDArray[np.float32] = field(repr=False, compare=False)
    """Scores of the whole window [N], including frames left out."""
    heat_level: NDArray[np.float32] = field(repr=False, compare=False)
    """Raw heat [h, w], > 0, that is 1.0 once calibrated."""
    score_reference: ScoreReference
    camera_reference: CameraReference
    kept_out: tuple[tuple[int, float], ...] = ()
    """Images that were never in the window because they raised an alarm under the threshold then in force: before which
    image of the window each was captured, and its score."""
    parts: bool = False
    """Each frame was another part, and each one above the threshold counts as a false alarm."""
    source: SourceReference | None = None
    """None in calibrations of earlier versions."""
    id: str = ""
    """Time of creation and a hash of the content, computed by the record itself; sorts by time."""

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise CalibrationError(f"created_at: got {self.created_at} without a time zone, wanted UTC")
        stamp = self.created_at.astimezone(timezone.utc)
        object.__setattr__(self, "created_at", stamp)
        digest = hashlib.sha256(json.dumps(_content(self), sort_keys=True).encode()).hexdigest()
        found = f"{stamp:%Y%m%dT%H%M%S}{stamp.microsecond // 1000:03d}Z-{digest[:8]}"
        if self.id not in ("", found):
            raise CalibrationError(
                f"calibration {self.id}: its content has the id {found}, wanted the same (altered file?)"
            )
        object.__setattr__(self, "id", found)

    def heat(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate a raw heatmap [h, w] or [N, h, w]: 1.0 is the highest heat of good parts at that place.

        Returns a new float32 array of the same shape, ≥ 0.

        Raises:
            CalibrationError: the shape differs from that of the window's heatmaps.
        """
        if heatmap.shape[-2:] != self.heat_level.shape:
            raise CalibrationError(f"heatmap: got shape {heatmap.shape}, wanted [..., {self.heat_level.shape}]")
        return np.asarray(heatmap / self.heat_level, dtype=np.float32)

    @property
    def kept_scores(self) -> NDArray[np.float64]:
        """Scores of the window without the frames left out, in order of capture."""
        mask = np.ones(self.scores.size, dtype=bool)
        mask[[out.index for out in self.left_out]] = False
        return np.asarray(self.scores[mask], dtype=np.float64)

    @property
    def counted_scores(self) -> NDArray[np.float64]:
        """Scores of all images that the rates count as good [M], in order of capture; see `left_out_cost`."""
        counted = np.ones(self.scores.size, dtype=bool)
        if not self.left_out_cost:
            counted[[out.index for out in self.left_out]] = False
        return among(self.scores.astype(np.float64), counted, self.kept_out)

    @property
    def display_window(self) -> tuple[int, int] | None:
        """The grey values that are shown black and white to people; None in calibrations of earlier versions."""
        return None if self.source is None else (self.source.black, self.source.white)

    def to_json(self) -> str:
        """Return the record as JSON, schema `inspectd.calibration/1`."""
        return json.dumps({"schema": _SCHEMA, "id": self.id, **_content(self)}, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read a record. Raises CalibrationError if the text is not a record or was altered."""
        try:
            data = json.loads(text)
            _check_schema(data)
            return cls(**_values(data))
        except CalibrationError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CalibrationError(f"not a calibration record: {type(error).__name__}: {error}") from error


def _check_schema(data: Any) -> None:
    schema = data.pop("schema", None) if isinstance(data, dict) else None
    if schema != _SCHEMA:
        raise CalibrationError(f"schema: got {schema!r}, wanted {_SCHEMA!r}")


def _content(calibration: Calibration) -> dict[str, Any]:
    data: dict[str, Any] = {
        name: getattr(calibration, name)
        for name in ("camera", "bundle_sha256", "engine", "who", "confidence", "quiet_frames", "frames_per_second")
    }
    data["created_at"] = calibration.created_at.isoformat(timespec="microseconds")
    data["budget"], data["rule"] = _budget_json(calibration.budget), asdict(calibration.rule)
    data["first_frame"], data["last_frame"] = calibration.first_frame, calibration.last_frame
    data["threshold"] = asdict(calibration.threshold)
    data["promise"] = calibration.promise
    data["left_out"] = [_left_out_json(out) for out in calibration.left_out]
    data["left_out_cost"] = calibration.left_out_cost
    data["score_reference"] = asdict(calibration.score_reference)
    data["camera_reference"] = _camera_json(calibration.camera_reference)
    if calibration.parts:
        data["parts"] = True
    if calibration.kept_out:
        data["kept_out"] = [list(each) for each in calibration.kept_out]
    if calibration.source is not None:  # no key without it: the id is a hash of the content
        data["source"] = asdict(calibration.source)
    data["scores"], data["heat_level"] = _array_json(calibration.scores), _array_json(calibration.heat_level)
    return data


def _values(data: dict[str, Any]) -> dict[str, Any]:
    return {
        **data,
        "created_at": datetime.fromisoformat(data["created_at"]),
        "budget": _budget(data["budget"], data["promise"]),
        "rule": Rule(**data["rule"]),
        "threshold": Threshold(**data["threshold"]),
        "left_out": tuple(_left_out(out) for out in data["left_out"]),
        "kept_out": tuple((int(place), float(score)) for place, score in data.get("kept_out", ())),
        "score_reference": ScoreReference(**data["score_reference"]),
        "camera_reference": _camera(data["camera_reference"]),
        "source": SourceReference(**data["source"]) if "source" in data else None,
        "scores": _array(data["scores"]),
        "heat_level": _array(data["heat_level"]),
    }


def _budget_json(budget: Budget) -> dict[str, Any]:
    data = {"alarms": budget.alarms, "per_seconds": budget.per_seconds, "per_frames": budget.per_frames}
    # Without these keys where they say nothing new: the id of a record is a hash of the content it was written with.
    if budget.frames_per_part != 1:
        data["frames_per_part"] = budget.frames_per_part
    if budget.per_seconds == budget.shift_seconds != SHIFT_SECONDS:
        data["shift_seconds"] = budget.shift_seconds
    return data


def _budget(data: dict[str, Any], promise: str) -> Budget:
    """The user's word for the frames of a span is no key of the record: its promise has it."""
    budget = Budget(**data)
    if budget.per_frames is None:
        return budget
    return next((named for named in map(budget.counting, COUNTED) if f" {named.words}. " in promise), budget)


def _left_out_json(out: LeftOut) -> dict[str, Any]:
    thumbnail = None if out.thumbnail_png is None else base64.b64encode(out.thumbnail_png).decode()
    return {"index": out.index, "score": out.score, "why": out.why, "thumbnail_png": thumbnail}


def _left_out(data: dict[str, Any]) -> LeftOut:
    thumbnail = data["thumbnail_png"]
    decoded = None if thumbnail is None else base64.b64decode(thumbnail, validate=True)
    return LeftOut(**{**data, "thumbnail_png": decoded})


def _camera_json(reference: CameraReference) -> dict[str, Any]:
    """A record without a view has no key for it either: its id is a hash of the content it was written with."""
    data = asdict(reference)
    view = data.pop("view")
    if view is not None:
        image = _array_json(view.pop("image"))
        data["view"] = {"picture": image, **view}
    return data


def _camera(data: dict[str, Any]) -> CameraReference:
    view = data.get("view")
    if view is not None:
        image = _array(view.pop("picture"))
        view = ViewReference(image=image, **_ranges(view))
    return CameraReference(**{**_ranges(data), "view": view})


def _ranges(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Range(**value) if isinstance(value, dict) and "middle" in value else value for name, value in data.items()
    }


def _array_json(values: NDArray[np.float32]) -> dict[str, Any]:
    """Encode as little-endian float32 in base64: a list of numbers is four times as long and no easier to read."""
    return {"shape": list(values.shape), "float32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _array(data: dict[str, Any]) -> NDArray[np.float32]:
    raw = base64.b64decode(data["float32"], validate=True)
    values: NDArray[np.float32] = np.frombuffer(raw, dtype="<f4").reshape(data["shape"]).astype(np.float32)
    values.flags.writeable = False
    return values
