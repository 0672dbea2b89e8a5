"""How a camera is calibrated, what a calibration is valid for, and where calibrations are kept."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import InspectdError
from agent.settings import CameraSettings, Settings
from calibration import Budget, Calibration, CalibrationError, FalseAlarmLevel, Rule, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CalibrationKey:
    """A calibration is valid for this camera, bundle and engine only."""

    camera: str
    """Name of the camera."""
    bundle: str
    """sha256 of the bundle's manifest."""
    engine: str
    """Name of the engine."""

    def require_match(self, calibration: Calibration) -> None:
        """Raise InspectdError unless the calibration is for this bundle on this engine."""
        if (calibration.bundle_sha256, calibration.engine) != (self.bundle, self.engine):
            raise InspectdError(
                f"calibration {calibration.id} is for bundle {calibration.bundle_sha256[:8]} on {calibration.engine}; "
                f"wanted one for {self.bundle[:8]} on {self.engine}"
            )


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """How a calibration is to be made."""

    frames: int
    """Good frames wanted at first, or good parts where they are known; the window grows where they turn out to depend
    on each other."""
    max_frames: int
    """Frames or parts after which the window is finished in any case."""
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
    parts_known: bool = False
    """Window, budget and rule count parts, of one frame or of several; else they count frames."""
    frames_per_second: float | None = None
    """Rate at which frames or, where they are known, parts are judged; None: as measured."""
    by: str = "agent"
    """Who requested the calibration, for its record."""
    dry_run: bool = False
    """Keep the result, but leave the current threshold in force."""
    fresh: bool = False
    """The window takes frames that raise an alarm under the threshold in force too: a person vouches for the parts."""
    false_alarms: FalseAlarmLevel | None = None
    """The level that false alarms confirmed so far ask for."""

    def quiet_frames(self, frames_per_second: float) -> int:
        """Return how many frames below the threshold end an alarm on a line that runs at this rate."""
        return max(0 if self.parts_known else 1, round(self.clear_after_seconds * frames_per_second))


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
        parts_known=camera.parts_known,
        frames_per_second=camera.source.frames_per_second if camera.frames_per_part == 1 else None,
    )


def setup_directory(settings: Settings, camera: str, product: str | None = None) -> Path:
    """The directory of what belongs to a product at a camera; None: to a camera without products."""
    directory = settings.state_directory / "cameras" / camera
    return directory if product is None else directory / "products" / product


def calibrations_of(settings: Settings, camera: str, product: str | None = None) -> Path:
    """The directory of a camera's calibrations, for a product where it has products."""
    return setup_directory(settings, camera, product) / "calibrations"


def thresholds_in_force(settings: Settings, bundle_sha256: str) -> tuple[float, ...]:
    """Thresholds of all cameras whose calibration in force was made with this bundle, on any engine.

    An engine must reproduce its reference well enough for them. A calibration that cannot be read is left out; its
    camera's station reports it.
    """
    found = []
    setups = [(name, product) for name, camera in settings.cameras.items() for product in camera.products or [None]]
    for directory in (calibrations_of(settings, *setup) for setup in setups):
        try:
            calibration = Store(directory).active(bundle_sha256=bundle_sha256) if directory.exists() else None
        except CalibrationError as error:
            log.debug("%s", error)
            continue
        if calibration is not None:
            found.append(calibration.threshold.value)
    return tuple(found)
