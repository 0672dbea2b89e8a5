"""The thresholds in force on this device: an engine must reproduce its reference well enough for them."""

from __future__ import annotations

import logging
from pathlib import Path

from agent.settings import Settings
from calibration import CalibrationError, Store

log = logging.getLogger(__name__)


def calibrations_of(settings: Settings, camera: str) -> Path:
    """The directory of a camera's calibrations."""
    return settings.state_directory / "cameras" / camera / "calibrations"


def thresholds_in_force(settings: Settings, bundle_sha256: str) -> tuple[float, ...]:
    """Thresholds of all cameras whose calibration in force was made with this bundle, on any engine.

    A calibration that cannot be read is left out; its camera's station reports it.
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
