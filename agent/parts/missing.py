"""Frames in which no part was found: counted for a camera, and reported where none is found for long."""

from __future__ import annotations

import logging

from agent.core.records import Frame

log = logging.getLogger(__name__)

# A line stands still, or a belt is empty, for less than this; and a few frames may be odd. Files keep no time.
LONG_SECONDS, LEAST_FRAMES, MANY_FILES = 60.0, 10, 50


class MissingParts:
    """Watches whether parts are found. One thread calls `observe`; any thread may read."""

    def __init__(self, camera: str) -> None:
        """Args: camera: its name, for the log."""
        self.reason: str | None = None
        """That no part has been found for long, in words; None while parts are found."""
        self._camera = camera
        self._in_a_row = 0
        self._since = 0.0
        """Monotonic time of the first of these frames, seconds."""

    def observe(self, frame: Frame) -> None:
        """Take in the next frame."""
        if frame.not_found is None:
            if self.reason is not None:
                log.info("camera %s: parts are found again", self._camera, extra={"camera": self._camera})
            self.reason, self._in_a_row = None, 0
            return
        if self._in_a_row == 0:
            self._since = frame.captured_monotonic
        self._in_a_row += 1
        if self.reason is None and self._is_long(frame):
            what = "images" if frame.file is not None else "frames"
            self.reason = f"{self._in_a_row} {what} in a row without a part: {frame.not_found}"
            log.warning("camera %s: %s", self._camera, self.reason, extra={"camera": self._camera})

    def _is_long(self, frame: Frame) -> bool:
        if frame.file is not None:
            return self._in_a_row >= MANY_FILES
        return self._in_a_row >= LEAST_FRAMES and frame.captured_monotonic - self._since >= LONG_SECONDS
