"""Pacing a source to a frame rate."""

from __future__ import annotations

import time
from collections.abc import Callable


class Pace:
    """Limits a reader to a frame rate.

    A reader that falls behind by more than `MAX_BACKLOG_SECONDS` does not catch up with a burst of late frames.
    """

    MAX_BACKLOG_SECONDS = 0.5

    def __init__(
        self,
        frames_per_second: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Args:
        frames_per_second: the limit, above 0; None: no limit.
        clock: monotonic clock, seconds.
        sleep: sleeps so many seconds.

        Raises ValueError where `frames_per_second` is not above 0.
        """
        if frames_per_second is not None and not frames_per_second > 0.0:
            raise ValueError(f"frames_per_second is {frames_per_second}, wanted more than 0, or None")
        self._interval_seconds = None if frames_per_second is None else 1.0 / frames_per_second
        self._clock, self._sleep = clock, sleep
        self._due_at: float | None = None

    def restart(self) -> None:
        """Make the next frame due at once."""
        self._due_at = None

    def wait(self) -> None:
        """Sleep until the next frame is due; return at once where there is no limit."""
        if self._interval_seconds is None:
            return
        now = self._clock()
        if self._due_at is None or now - self._due_at > self.MAX_BACKLOG_SECONDS:
            self._due_at = now
        if self._due_at > now:
            self._sleep(self._due_at - now)
        self._due_at += self._interval_seconds
