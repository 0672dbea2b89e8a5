"""Clocks that only tests move."""

from __future__ import annotations


class FakeClock:
    """A monotonic clock that moves only when somebody sleeps on it, or when a test sets `seconds`."""

    def __init__(self, seconds: float = 100.0) -> None:
        self.seconds = seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.seconds += seconds
