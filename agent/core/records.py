"""What the stages of the agent hand each other: frozen, and with units."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels, [H, W, C]: C is 1 (gray) or 3 (BGR, as OpenCV delivers)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from one camera."""

    camera: str
    """Name of the camera, as in the settings."""
    index: int
    """Counts the frames that this camera delivered since the agent started, dropped ones included; from 0."""
    captured_at: datetime
    """Wall-clock time of capture, UTC."""
    captured_monotonic: float
    """Monotonic time of capture, seconds; for durations."""
    image: Image
    """Pixels [H, W, C], uint8 or uint16; nobody writes to them."""
    origin: str | None = None
    """Name of the file the frame came from; None for live cameras."""


@dataclass(frozen=True, slots=True)
class Region:
    """A hot rectangle of the heatmap, in pixels of the source image."""

    x: int
    """Left edge, pixels."""
    y: int
    """Top edge, pixels."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    peak: float
    """Highest calibrated heat inside; 1.0 is as hot as good parts ever get at that place."""


class AlarmKind(str, Enum):
    """What an alarm is about."""

    DEFECT = "defect"
    CAMERA = "camera"


class AlarmEvent(str, Enum):
    """The two ends of an alarm."""

    RAISED = "raised"
    CLEARED = "cleared"


class Phase(str, Enum):
    """What the agent does with a camera at the moment."""

    STARTING = "starting"
    """The first frames, or none yet: the camera's rate is measured."""
    CALIBRATING = "calibrating"
    """Good frames are collected; there is no threshold yet."""
    ARMED = "armed"
    """Every frame is judged."""
    REFUSED = "refused"
    """Calibrated, but without the certificate that the settings require: not judged."""
    PAUSED = "paused"
    """Somebody asked to look away."""
    CAMERA_LOST = "camera_lost"
    """No frames come."""
    BLIND = "blind"
    """Frames come, but no part can be judged by them: the camera is sick, and `reason` says how."""
    STOPPED = "stopped"
    """The agent was stopped, or the file or folder is at its end."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What inspection says of one frame."""

    frame: Frame
    """The frame that was judged."""
    score: float
    """Latent distance of this frame, ≥ 0."""
    statistic: float
    """What is compared with the threshold: the k-th largest of the last n scores."""
    threshold: float
    """The threshold in force."""
    heatmap: NDArray[np.float32]
    """Calibrated heat [h, w], ≥ 0; 1.0 is as hot as good parts ever get at that place."""

    @property
    def anomalous(self) -> bool:
        """True where the alarm rule fires on this frame."""
        return self.statistic > self.threshold


# Why an alarm was cleared whose end nobody saw.
PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Alarm:
    """One end of an alarm: it was raised, or it was cleared. Both carry the same id."""

    id: str
    """UUIDv7 of the alarm, the same from raised to cleared."""
    event: AlarmEvent
    kind: AlarmKind
    camera: str
    captured_at: datetime
    """Wall-clock time of the frame that caused this event, UTC."""
    frame: int
    """Index of that frame."""
    score: float
    """Latent distance of that frame (raised); the highest one while the alarm stood (cleared)."""
    threshold: float | None
    """The threshold in force; None of a camera that was lost before it had one."""
    reason: str | None = None
    """For `kind` camera: what is wrong with it, in words. For a cleared of either kind: PAUSED, where it was."""
