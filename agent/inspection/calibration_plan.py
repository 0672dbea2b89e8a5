"""How a camera is to be calibrated, for what, and how far that is."""

from __future__ import annotations

from dataclasses import dataclass

from agent.settings import CameraSettings
from calibration import Budget, Rule


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """What a calibration is tied to."""

    camera: str
    bundle: str
    """sha256 of the bundle's manifest."""
    engine: str
    """Name of the engine."""


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """How a calibration is to be made."""

    frames: int
    """Good frames wanted at first."""
    max_frames: int
    """Good frames after which it must do."""
    budget: Budget
    rule: Rule
    confidence: float
    require_certificate: bool
    clear_after_seconds: float
    """Quiet time that ends an alarm: false alarms closer together than this are one."""
    frames_per_second: float | None = None
    """Rate at which frames are inspected; None: measured."""
    by: str = "agent"
    """Who asked for it."""
    dry_run: bool = False
    """Keep the result, but go on with the threshold in force."""


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far a calibration is."""

    frames: int
    """Good frames so far."""
    target: int
    """Good frames wanted now; may grow where they turn out to depend on each other."""


def plan_of(camera: CameraSettings) -> CalibrationPlan:
    """How the settings want a camera calibrated."""
    return CalibrationPlan(
        frames=camera.calibration.frames,
        max_frames=camera.calibration.max_frames,
        budget=Budget.parse(camera.calibration.false_alarms),
        rule=Rule.parse(camera.alarm.rule),
        confidence=camera.calibration.confidence,
        require_certificate=camera.calibration.require_certificate,
        clear_after_seconds=camera.alarm.clear_after_seconds,
        frames_per_second=camera.source.frames_per_second,
    )
