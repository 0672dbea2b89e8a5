"""The records that stages of the agent pass to each other: frozen, with units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    # For the types alone: a process that only reads documents stays without NumPy, 20 MB.
    import numpy as np
    from numpy.typing import NDArray

Image: TypeAlias = "NDArray[np.uint8] | NDArray[np.uint16]"
"""Pixels, [H, W, C]: C is 1 (gray) or 3 (BGR, as OpenCV delivers)."""


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file as it was read. A file that is written again has another version."""

    name: str
    """Path below the source's folder; bytes that are not UTF-8 as in `os.fsdecode`."""
    size: int
    """Bytes."""
    modified_ns: int
    """Time of the last change, by the clock of the writer: Unix time, nanoseconds."""
    frame: int = 0
    """Index of the frame in a video; 0 for a file of one image. Of several images in a file, the number from 1, and 0
    for the last one, with which the file is finished."""


@dataclass(frozen=True, slots=True)
class Code:
    """The code on a part, as it was read from an image; either field is None."""

    text: str | None = None
    """Its text: 1 to 128 printable characters."""
    problem: str | None = None
    """Why nothing was read, in words."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One image captured from one camera."""

    camera: str
    """Name of the camera, as in the settings."""
    index: int
    """Number of this frame since the agent started, from 0; dropped frames count too."""
    captured_at: datetime
    """Wall-clock time of capture, UTC; for an image file, the time of its last change."""
    captured_monotonic: float
    """Monotonic time of capture, seconds; for durations. An image file is captured when it is read."""
    image: Image
    """The part that is inspected: pixels [H, W, C], uint8 or uint16; read only."""
    origin: str | None = None
    """Name of the file that the frame was read from; None for live cameras."""
    source: Image | None = None
    """The source image, of which `image` is a crop: [H, W, C]; None where `image` is all of it."""
    file: FileVersion | None = None
    """The image file that the frame was read from, for the ledger; None for cameras and videos."""
    id: str | None = None
    """UUIDv7 of a frame from an image file or a video: the same each time it is read. None for live cameras."""
    content: tuple[float, float, float, float] | None = None
    """The part of the model's input, and so of the heatmap, that shows `image`: top, left, bottom, right as shares of
    its height and width; None: all of it."""

    code: Code | None = None
    """The code of the part, where the settings say that it has one."""
    presence: float | None = None
    """Share of the view that differs from the empty one, 0..1, where parts are known by that."""
    excluded: NDArray[np.bool_] | None = None
    """Pixels of `image` that a mask excludes: [H, W], True where they do not count; None without a mask. Shared."""
    triggered_monotonic: float | None = None
    """When the part was announced for which the agent triggered this frame, seconds; None where it did not."""
    lost_before: int = 0
    """Of a triggered camera: frames between the one before and this one that were lost on the way."""
    to_source: NDArray[np.float64] | None = None
    """For a part that was found turned or shifted, of which `image` is cut out upright: the affine map [2, 3] from
    places (x, y) in `image` to places in `source`, both in pixels, pixel i from i to i + 1. None otherwise."""
    not_found: str | None = None
    """Why no part was found in it, in words; None where one was, or where none is looked for."""

    @property
    def source_image(self) -> Image:
        """The source image [H, W, C], in whose pixels alarms give their regions."""
        return self.image if self.source is None else self.source


@dataclass(frozen=True, slots=True)
class Region:
    """A hot rectangle of the heatmap, in pixels of the inspected part or, in alarms, of the source image."""

    x: int
    """Left edge, pixels."""
    y: int
    """Top edge, pixels."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    peak: float
    """Highest calibrated heatmap value inside, ≥ 0; 1.0 is the highest that good parts reach at that place."""


class AlarmKind(str, Enum):
    """The subject of an alarm."""

    DEFECT = "defect"
    """A part looks abnormal."""
    CAMERA = "camera"
    """The camera is faulty or lost: its parts cannot be judged."""


class AlarmEvent(str, Enum):
    """An alarm begins or ends."""

    RAISED = "raised"
    """The alarm is active from now on."""
    CLEARED = "cleared"
    """The alarm is no longer active."""


class Phase(str, Enum):
    """The current state of inspection at one camera."""

    STARTING = "starting"
    """No frame yet, or only the first ones: the frame rate is being measured."""
    CALIBRATING = "calibrating"
    """Good frames are being collected; there is no threshold yet."""
    ARMED = "armed"
    """Every frame is judged."""
    REFUSED = "refused"
    """Calibrated, but without the certificate that the settings require: frames are not judged."""
    PAUSED = "paused"
    """Inspection was paused by a command: frames are not judged."""
    CAMERA_LOST = "camera_lost"
    """The camera delivers no frames."""
    BLIND = "blind"
    """Frames arrive but are not judged, because the camera is faulty; the state's `reason` names the fault."""
    NO_PRODUCT = "no_product"
    """The product that was named is not in the settings, or its model cannot be used: frames are not judged."""
    STOPPED = "stopped"
    """The agent was stopped, or the video file or folder has been read to its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one frame: its score against the threshold."""

    frame: Frame
    """The frame that was judged."""
    score: float
    """Latent distance of this frame, ≥ 0."""
    statistic: float
    """The value compared with the threshold: the k-th largest of the last n scores, ≥ 0."""
    threshold: float
    """The threshold in force."""
    heatmap: NDArray[np.float32]
    """Calibrated heatmap [h, w], ≥ 0; 1.0 is the highest that good parts reach at that place."""

    @property
    def anomalous(self) -> bool:
        """True where the alarm rule fires on this frame."""
        return self.statistic > self.threshold


# `reason` of an alarm that was cleared not because its cause is gone, but because inspection was paused, or another
# product is inspected.
PAUSED = "paused"
PRODUCT_CHANGED = "product_changed"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that was raised or cleared; both records carry the same id."""

    id: str
    """UUIDv7 of the alarm, the same in raised and cleared."""
    event: AlarmEvent
    kind: AlarmKind
    camera: str
    captured_at: datetime
    """Wall-clock time of the frame that caused this event, UTC."""
    frame: int
    """Index of that frame; of the last one where the camera is lost."""
    score: float
    """Latent distance, ≥ 0: of that frame (raised), or the highest while the alarm was active (cleared)."""
    threshold: float | None
    """The threshold in force; None where the camera was lost before its first calibration."""
    reason: str | None = None
    """For `kind` camera: the fault, in words. For a cleared alarm of either kind: PAUSED where a pause cleared it, or
    PRODUCT_CHANGED."""
    origin: str | None = None
    """For `kind` defect: name of the file that the frame came from; None for live cameras."""


class PartVerdict(str, Enum):
    """What inspection says about one part."""

    OK = "ok"
    """Its score is not above the threshold."""
    NOK = "nok"
    """Its score is above the threshold."""
    NOT_JUDGED = "not_judged"
    """Nothing is known about the part; the reason says why."""


class NotJudged(str, Enum):
    """Why a part was not judged."""

    CALIBRATING = "calibrating"
    """There is no threshold yet."""
    UNCERTIFIED = "uncertified"
    """The threshold has no certificate, and the settings require one."""
    PAUSED = "paused"
    """Inspection was paused by a command."""
    NO_PRODUCT = "no_product"
    """The product was not known, or its model could not be used, or was being loaded."""
    BLIND = "blind"
    """The camera was faulty."""
    PART_NOT_FOUND = "part_not_found"
    """The part that the model was taught is not in the image, or lies further away than it may."""
    LATE = "late"
    """A trigger got no frame within the time for a result, or all frames of the part were dropped."""
    STOPPED = "stopped"
    """The agent was stopped before the part was seen."""
    VIEW_MISSING = "view_missing"
    """Of a part that several cameras see, one had no result in time."""


VIEW_GROUPS = "parts"
"""Level below which the groups of cameras are that see the same part; no camera has this name where there is one."""


def place_of_group(name: str) -> str:
    """What stands for a group where else the name of a camera stands.

    >>> place_of_group("p1")
    'parts/p1'
    """
    return f"{VIEW_GROUPS}/{name}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part, judged or not."""

    part: str
    """Its id: from the trigger, its code or the file name; else the time of its first frame."""
    camera: str
    """Its camera; `parts/NAME` where a group of cameras has seen it."""
    verdict: PartVerdict
    reason: NotJudged | None
    """Why it was not judged; None where it was."""
    score: float | None
    """Highest score of its frames, ≥ 0; None where it was not judged."""
    threshold: float | None
    """The threshold in force; None before the first calibration."""
    calibration: str | None
    """Id of the calibration in force."""
    frames: int
    """Frames of the part that were judged."""
    frame: int | None
    """Index of its first frame; None where there is none."""
    captured_at: datetime
    """Wall-clock time, UTC, of its first frame; of the trigger where there is none."""
    started_monotonic: float
    """Monotonic time of the trigger, or of the first frame, seconds."""
    origin: str | None = None
    """Name of the file that its first frame was read from."""
    alarm: str | None = None
    """Id of the alarm that it raised or that was active; None where no alarm was."""
    product: str | None = None
    """Name of the product that it was judged as; None for a camera without products."""
    code: Code | None = None
    """The code that was read from its frames, or why none was; None where none is looked for."""
    announced: bool = False
    """A trigger gave its id: the same id is the same part again."""
    id: str | None = None
    """UUIDv7 of its first frame where that is from a file: the same if the part is judged again. None otherwise."""
