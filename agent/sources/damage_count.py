"""Counts the frames of one source that arrived damaged."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

# Damaged frames are logged once in this time, seconds.
SUMMARY_SECONDS = 60.0


class DamageCount:
    """Counts the damaged frames of one source and logs them: the first WARNING, repeats DEBUG with a summary."""

    def __init__(self, describe: Callable[[], str], clock: Callable[[], float] = time.monotonic) -> None:
        """Args: describe: names the source; clock: monotonic, seconds."""
        self.count = 0
        """Damaged frames so far."""
        self._describe, self._clock = describe, clock
        self._logged_at: float | None = None
        self._logged = 0

    def add(self, reason: str) -> None:
        """Count one more, with the reason in words."""
        self.count += 1
        now = self._clock()
        if self._logged_at is not None and now - self._logged_at < SUMMARY_SECONDS:
            log.debug("%s: a frame is left out: %s", self._describe(), reason)
            return
        frames = "a frame is" if self.count - self._logged == 1 else f"{self.count - self._logged} frames are"
        log.warning("%s: %s left out: %s; further ones are summed up", self._describe(), frames, reason)
        self._logged_at, self._logged = now, self.count
