"""The measured frame rate of a camera."""

from __future__ import annotations

from collections import deque

# An interval of ten times the usual ones is a stop of the line, not a slow frame. A stop of 8 h used to make 20 frames
# per second out to be 0.035, and a threshold that promised 2.4 alarms a day raised 148 in an hour. Usual are all but
# the longest twentieth. With the median instead, the time between the bursts in which a folder delivers 15 files per
# second was taken for stops (115 frames per second).
_STOP_INTERVALS, _USUAL_SHARE = 10.0, 0.95

# A camera is expected to be silent for this long, seconds, whatever its rate: it is opened again, or loaded.
_LEAST_SILENCE = 2.0

# No clock tells two frames apart that are closer, seconds.
_SHORTEST_INTERVAL = 1e-6


class RateMeter:
    """Frames per second of running time over the last frames: stops of the line do not count.

    An interval counts as a stop if it is longer than ten times the 95 % quantile of the last intervals, of which there
    are 20 or more. The rate is the number of the other intervals over their sum. One thread updates it; any thread may
    read it.

    >>> meter = RateMeter()
    >>> for i in range(50): meter.update(i * 0.05)
    >>> meter.update(8 * 3600.0)
    >>> round(meter.frames_per_second, 3)
    20.0
    """

    def __init__(self, memory: int = 100) -> None:
        """`memory` is the number of intervals that the rate is measured over: with 100, a frame that is late by one
        interval moves it by a percent."""
        self.count = 0
        """Frames so far."""
        self._last: float | None = None
        self._intervals: deque[float] = deque(maxlen=memory)

    @property
    def frames_per_second(self) -> float | None:
        """The rate; None before the second frame."""
        intervals = sorted(self._intervals)
        if not intervals:
            return None
        longest = _STOP_INTERVALS * intervals[int(_USUAL_SHARE * len(intervals))]
        running = [interval for interval in intervals if interval <= longest]
        return len(running) / sum(running)

    def rate_at(self, monotonic_seconds: float) -> float | None:
        """The rate now, monotonic time in seconds; None before the second frame, and while the line has stopped."""
        intervals, last = sorted(self._intervals), self._last
        if not intervals or last is None:
            return None
        silence = max(_STOP_INTERVALS * intervals[int(_USUAL_SHARE * len(intervals))], _LEAST_SILENCE)
        return self.frames_per_second if monotonic_seconds - last <= silence else None

    @property
    def intervals(self) -> list[float]:
        """The last intervals between frames, seconds, oldest first; for `resume`."""
        return list(self._intervals)

    def resume(self, intervals: list[float]) -> None:
        """Continue after a restart with the intervals of before it; the time in between is none."""
        self._intervals.extend(intervals)

    def update(self, monotonic_seconds: float) -> None:
        """Take in the monotonic time of the next frame, seconds."""
        self.count += 1
        if self._last is not None:
            self._intervals.append(max(monotonic_seconds - self._last, _SHORTEST_INTERVAL))
        self._last = monotonic_seconds
