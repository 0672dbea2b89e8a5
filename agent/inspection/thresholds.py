"""What this device judges by at present: an engine is held against it before it may judge."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.settings import Settings
from calibration import CalibrationError, Store

log = logging.getLogger(__name__)


def calibrations_of(settings: Settings, camera: str) -> Path:
    """The directory with a camera's calibrations."""
    return settings.state_directory / "cameras" / camera / "calibrations"


def thresholds_in_force(settings: Settings, bundle_sha256: str) -> tuple[float, ...]:
    """Thresholds of the cameras whose calibration in force is of this bundle, made on whichever engine.

    One that cannot be read is left out: the camera that it belongs to will say so.
    """
    found = []
    for directory in (calibrations_of(settings, camera) for camera in settings.cameras):
        try:
            calibration = Store(directory).active(bundle_sha256=bundle_sha256) if directory.exists() else None
        except CalibrationError as error:
            log.debug("%s", error)
            continue
        if calibration is not None:
            found.append(calibration.threshold.value)
    return tuple(found)
