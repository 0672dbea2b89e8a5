"""The measured frame rate of a camera."""

from __future__ import annotations


class RateMeter:
    """Frames per second, smoothed over about the last hundred frames.

    >>> meter = RateMeter()
    >>> for i in range(50): meter.update(i * 0.05)
    >>> round(meter.frames_per_second, 3)
    20.0
    """

    # Weight of the newest interval: a single frame that is late by one interval moves the rate by a percent.
    _WEIGHT = 0.01

    def __init__(self) -> None:
        self.count = 0
        """Frames so far."""
        self._last: float | None = None
        self._interval: float | None = None

    @property
    def frames_per_second(self) -> float | None:
        """The rate; None before the second frame."""
        return None if not self._interval else 1.0 / self._interval

    def update(self, monotonic_seconds: float) -> None:
        """Take in the monotonic time of the next frame, seconds."""
        self.count += 1
        if self._last is not None:
            interval = max(monotonic_seconds - self._last, 1e-6)
            weight = max(self._WEIGHT, 1.0 / (self.count - 1))
            self._interval = (
                interval if self._interval is None else self._interval + weight * (interval - self._interval)
            )
        self._last = monotonic_seconds
