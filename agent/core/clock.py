"""The clocks that sources take when nobody gives them others."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone


def utc_now() -> datetime:
    """The wall clock, UTC."""
    return datetime.now(timezone.utc)


class Pace:
    """Holds a reader to so many frames a second.

    A reader that falls behind by more than `MAX_BACKLOG_SECONDS` gets no burst of late frames afterwards.
    """

    MAX_BACKLOG_SECONDS = 0.5

    def __init__(
        self,
        frames_per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if frames_per_second is not None and not frames_per_second > 0.0:
            raise ValueError(f"frames_per_second is {frames_per_second}, wanted more than 0, or none at all")
        self._interval_seconds = None if frames_per_second is None else 1.0 / frames_per_second
        self._clock, self._sleep = clock, sleep
        self._due_at: float | None = None

    def restart(self) -> None:
        """Let the next frame come at once."""
        self._due_at = None

    def wait(self) -> None:
        """Sleep until the next frame is due; at once where there is no pace."""
        if self._interval_seconds is None:
            return
        now = self._clock()
        if self._due_at is None or now - self._due_at > self.MAX_BACKLOG_SECONDS:
            self._due_at = now
        if self._due_at > now:
            self._sleep(self._due_at - now)
        self._due_at += self._interval_seconds
