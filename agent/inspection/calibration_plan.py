"""The plan by which a camera is calibrated, and the key that a calibration is valid for."""

from __future__ import annotations

from dataclasses import dataclass

from agent.settings import CameraSettings
from calibration import Budget, FalseAlarmLevel, Rule


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """A calibration is valid for this camera, bundle and engine only."""

    camera: str
    """Name of the camera."""
    bundle: str
    """sha256 of the bundle's manifest."""
    engine: str
    """Name of the engine."""


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """How a calibration is to be made."""

    frames: int
    """Good frames wanted at first; the window grows where they turn out to depend on each other."""
    max_frames: int
    """Good frames after which the window is finished in any case."""
    budget: Budget
    """Rate of false alarms that is allowed."""
    rule: Rule
    """Alarm rule, k of n."""
    confidence: float
    """Confidence of the promise, between 0 and 1."""
    require_certificate: bool
    """Without a certified threshold, frames are not judged."""
    clear_after_seconds: float
    """Quiet time that ends an alarm: false alarms closer together count as one."""
    frame_is_part: bool = False
    """Each frame shows another part, as in a folder of images."""
    frames_per_second: float | None = None
    """Rate at which frames are inspected; None: as measured."""
    by: str = "agent"
    """Who requested the calibration, for its record."""
    dry_run: bool = False
    """Keep the result, but leave the current threshold in force."""
    fresh: bool = False
    """The window takes frames that raise an alarm under the threshold in force too: a person vouches for the parts."""
    false_alarms: FalseAlarmLevel | None = None
    """The level that false alarms confirmed so far ask for."""


def plan_of(camera: CameraSettings) -> CalibrationPlan:
    """The plan that the settings of a camera ask for."""
    return CalibrationPlan(
        frames=camera.calibration.frames,
        max_frames=camera.calibration.max_frames,
        budget=camera.parse_budget(camera.false_alarms),
        rule=Rule.parse(camera.alarm_rule),
        confidence=camera.calibration.confidence,
        require_certificate=camera.calibration.require_certificate,
        clear_after_seconds=camera.clear_after_seconds,
        frame_is_part=camera.source.frame_is_part,
        frames_per_second=camera.source.frames_per_second,
    )
