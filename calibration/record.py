"""`Calibration`: everything that one calibration found and promises, frozen, as it lies on disk."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.budget import Budget
from calibration.dependence import autocorrelation_time
from calibration.errors import CalibrationError
from calibration.rule import Rule
from calibration.threshold import Threshold

SCHEMA = "inspectd.calibration/1"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A frame of the window that was not calibrated on."""

    index: int
    """Its place in the window, from 0."""
    score: float
    """Its score."""
    why: str
    """In words."""
    thumbnail_png: bytes | None = None
    """A small picture of it; None for all but the highest scores."""


@dataclass(frozen=True, slots=True)
class ScoreReference:
    """The good scores of the window in numbers: what drift is measured against."""

    centre: float
    """Median, units of the scores."""
    scale: float
    """Interquartile range over 1.349: the standard deviation, were the scores normal."""
    autocorrelation_time: float
    """Frames that are worth one independent frame."""
    effective_sample_size: float
    """Independent frames that centre and scale rest on."""


def score_reference(scores: NDArray[np.float64]) -> ScoreReference:
    """Take the reference of good scores [N] in the order they came.

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
class Range:
    """The middle and both ends of what one measure of the good pictures took."""

    low: float
    """1 % quantile."""
    middle: float
    """Median."""
    high: float
    """99 % quantile."""


@dataclass(frozen=True, slots=True)
class ViewReference:
    """What the camera sees when all is well: by it a shifted, a defocused and a frozen camera are told."""

    picture: NDArray[np.float32] = field(repr=False, compare=False)
    """Median of the good pictures, reduced, share of full scale [h, w]."""
    shift: Range
    """How far a good picture lies off the median one, share of the longer side."""
    match: Range
    """Correlation of a good picture with the median one, at most 1."""
    detail: Range
    """Energy of fine structure over that of coarse structure."""
    edges: Range
    """The part of `detail` that stands out from noise and even texture."""
    structure: Range
    """Energy of coarse structure, squared levels."""
    longest_repeat: int
    """Longest run of pictures that repeat the one before, frames."""


@dataclass(frozen=True, slots=True)
class CameraReference:
    """What the good pictures looked like: a sick camera is told by leaving these ranges."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    channels: int
    """1 (gray) or 3 (BGR)."""
    mean_level: Range
    """Mean brightness of a picture, share of full scale."""
    high_level: Range
    """Level that 1 % of a picture's pixels exceed, share of full scale."""
    saturated_share: Range
    """Share of pixels at the top of the range."""
    sharpness: Range
    """Variance of the Laplacian, squared levels."""
    moved_share: Range
    """Share of sampled pixels that differ from the frame before: 0 is frozen."""
    view: ViewReference | None = None
    """None in calibrations of the first versions, which did not look for it."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration: made once, never changed."""

    camera: str
    """Name of the camera, as in the settings."""
    bundle_sha256: str
    """Identity of the model bundle that gave the scores."""
    engine: str
    """Name of the engine that ran it."""
    created_at: datetime
    """UTC."""
    who: str
    """Who asked for it, as the caller knows them."""
    budget: Budget
    rule: Rule
    confidence: float
    """Of the promise, 0.5 to 1."""
    quiet_frames: int
    """Frames below the threshold that end an alarm episode."""
    frames_per_second: float
    """Rate of the line, as measured or set."""
    first_frame: int
    """Index of the window's first frame, as the camera counts."""
    last_frame: int
    """Index of its last one."""
    threshold: Threshold
    promise: str
    """The promise in one sentence of plain language."""
    left_out: tuple[LeftOut, ...]
    """Frames left out, highest score first."""
    left_out_cost: str
    """What leaving them out costs the guarantee, in words; empty where none was."""
    scores: NDArray[np.float32] = field(repr=False, compare=False)
    """Scores of the whole window [N], frames that were left out included."""
    heat_level: NDArray[np.float32] = field(repr=False, compare=False)
    """Raw heat [h, w] that is 1.0 once calibrated, > 0."""
    score_reference: ScoreReference
    camera_reference: CameraReference
    id: str = ""
    """Time of creation and a hash of the content: sorts by time; found by the record itself."""

    def __post_init__(self) -> None:
        if self.created_at.tzinfo is None:
            raise CalibrationError(f"created_at: got {self.created_at} without a time zone, wanted UTC")
        stamp = self.created_at.astimezone(timezone.utc)
        object.__setattr__(self, "created_at", stamp)
        digest = hashlib.sha256(json.dumps(_content(self), sort_keys=True).encode()).hexdigest()
        found = f"{stamp:%Y%m%dT%H%M%S}{stamp.microsecond // 1000:03d}Z-{digest[:8]}"
        if self.id not in ("", found):
            raise CalibrationError(
                f"calibration {self.id}: its content hashes to {found}, wanted the same (altered file?)"
            )
        object.__setattr__(self, "id", found)

    def heat(self, heatmap: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate a raw heatmap [h, w] or [N, h, w]: 1.0 is as hot as good parts ever get at that place.

        Returns a new float32 array of the same shape, ≥ 0.
        """
        if heatmap.shape[-2:] != self.heat_level.shape:
            raise CalibrationError(f"heatmap: got shape {heatmap.shape}, wanted [..., {self.heat_level.shape}]")
        return np.asarray(heatmap / self.heat_level, dtype=np.float32)

    @property
    def kept_scores(self) -> NDArray[np.float64]:
        """Scores of the window without the frames that were left out, in order."""
        mask = np.ones(self.scores.size, dtype=bool)
        mask[[out.index for out in self.left_out]] = False
        return np.asarray(self.scores[mask], dtype=np.float64)

    def to_json(self) -> str:
        """Return the record as JSON, schema `inspectd.calibration/1`."""
        return json.dumps({"schema": SCHEMA, "id": self.id, **_content(self)}, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read a record. Raises CalibrationError where it is not one, or was altered."""
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
    if schema != SCHEMA:
        raise CalibrationError(f"schema: got {schema!r}, wanted {SCHEMA!r}")


def _content(calibration: Calibration) -> dict[str, Any]:
    data: dict[str, Any] = {
        name: getattr(calibration, name)
        for name in ("camera", "bundle_sha256", "engine", "who", "confidence", "quiet_frames", "frames_per_second")
    }
    data["created_at"] = calibration.created_at.isoformat(timespec="microseconds")
    data["budget"], data["rule"] = asdict(calibration.budget), asdict(calibration.rule)
    data["first_frame"], data["last_frame"] = calibration.first_frame, calibration.last_frame
    data["threshold"] = asdict(calibration.threshold)
    data["promise"] = calibration.promise
    data["left_out"] = [_left_out_json(out) for out in calibration.left_out]
    data["left_out_cost"] = calibration.left_out_cost
    data["score_reference"] = asdict(calibration.score_reference)
    data["camera_reference"] = _camera_json(calibration.camera_reference)
    data["scores"], data["heat_level"] = _array_json(calibration.scores), _array_json(calibration.heat_level)
    return data


def _values(data: dict[str, Any]) -> dict[str, Any]:
    return {
        **data,
        "created_at": datetime.fromisoformat(data["created_at"]),
        "budget": Budget(**data["budget"]),
        "rule": Rule(**data["rule"]),
        "threshold": Threshold(**data["threshold"]),
        "left_out": tuple(_left_out(out) for out in data["left_out"]),
        "score_reference": ScoreReference(**data["score_reference"]),
        "camera_reference": _camera(data["camera_reference"]),
        "scores": _array(data["scores"]),
        "heat_level": _array(data["heat_level"]),
    }


def _left_out_json(out: LeftOut) -> dict[str, Any]:
    picture = None if out.thumbnail_png is None else base64.b64encode(out.thumbnail_png).decode()
    return {"index": out.index, "score": out.score, "why": out.why, "thumbnail_png": picture}


def _left_out(data: dict[str, Any]) -> LeftOut:
    picture = data["thumbnail_png"]
    return LeftOut(**{**data, "thumbnail_png": None if picture is None else base64.b64decode(picture, validate=True)})


def _camera_json(reference: CameraReference) -> dict[str, Any]:
    """Without a view its key is left out too: the id of an old calibration is a hash of what it was written from."""
    data = asdict(reference)
    if reference.view is None:
        del data["view"]
    else:
        data["view"]["picture"] = _array_json(reference.view.picture)
    return data


def _camera(data: dict[str, Any]) -> CameraReference:
    view = data.get("view")
    if view is not None:
        view = ViewReference(**{**_ranges(view), "picture": _array(view["picture"])})
    return CameraReference(**{**_ranges(data), "view": view})


def _ranges(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Range(**value) if isinstance(value, dict) and "middle" in value else value for name, value in data.items()
    }


def _array_json(values: NDArray[np.float32]) -> dict[str, Any]:
    """Little-endian float32, base64: a list of numbers would be four times as long and no easier to read."""
    return {"shape": list(values.shape), "float32": base64.b64encode(values.astype("<f4").tobytes()).decode()}


def _array(data: dict[str, Any]) -> NDArray[np.float32]:
    raw = base64.b64decode(data["float32"], validate=True)
    values: NDArray[np.float32] = np.frombuffer(raw, dtype="<f4").reshape(data["shape"]).astype(np.float32)
    values.flags.writeable = False
    return values
