"""Logs why a window is not complete, or why nothing is inspected, when a folder has no more images."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from agent.inspection import CameraLine, CameraState
from agent.monitoring.camera_state import waiting_reason

log = logging.getLogger(__name__)

# A folder that has had no image for so long has no more for now; on a slow line the next part may be due any moment.
WAIT_SECONDS = 10.0


class WindowNotice:
    """Logs the reason once for each camera. One thread drives it."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, float]] = {}
        self._logged: set[str] = set()

    def check(self, lines: Iterable[CameraLine], now: float) -> None:
        """Take a look at each camera; `now` in monotonic seconds. To be called several times a second."""
        for line in lines:
            reason = waiting_reason(line)
            if reason is None:
                self._since.pop(line.name, None)
                continue
            known, since = self._since.get(line.name, (None, now))
            if known != reason:
                self._since[line.name] = (reason, now)
            elif now - since >= WAIT_SECONDS:
                self._log(line.name, reason)

    def check_ended(self, lines: Iterable[CameraLine]) -> None:
        """The inspection threads have ended: there is nothing to wait for at a folder that was read to its end."""
        for line in lines:
            reason = waiting_reason(line)
            if reason is not None and line.capture.status.state is CameraState.ENDED:
                self._log(line.name, reason)

    def _log(self, camera: str, reason: str) -> None:
        if camera not in self._logged:
            self._logged.add(camera)
            log.warning("camera %s: %s", camera, reason, extra={"camera": camera})
