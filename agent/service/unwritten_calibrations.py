"""Calibrations that the disk did not take: they are in force, reported, and written as soon as there is room."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from agent.core.problems import Problems
from agent.inspection import CameraLine

log = logging.getLogger(__name__)


class UnwrittenCalibrations:
    """Tries again to write, and reports each camera's problem once."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._reported: set[str] = set()

    def write(self, lines: Iterable[CameraLine]) -> None:
        """Write what the cameras' stores have in memory only. Call it again and again."""
        for line in lines:
            stores = [setup.station.store for setup in list(line.setups.values())]
            for store in stores:
                if store.problem is not None:
                    store.write_unwritten()
            self._report(line.name, next((store.problem for store in stores if store.problem is not None), None))

    def _report(self, camera: str, problem: str | None) -> None:
        text = None
        if problem is not None:
            text = f"camera {camera}: its calibration is in force, but would be lost with a restart: {problem}"
        if problem is not None and camera not in self._reported:
            log.warning("%s", text, extra={"camera": camera})
            self._reported.add(camera)
        elif problem is None and camera in self._reported:
            log.info("camera %s: its calibration is written now", camera, extra={"camera": camera})
            self._reported.discard(camera)
        self._problems.set(f"calibration {camera}", text)
