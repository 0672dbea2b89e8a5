"""The latest scores of a camera in memory, for a chart, and its last part."""

from __future__ import annotations

import threading
from collections import deque

from agent.core.records import Part

# A point is the highest score of this time: a chart of five minutes has a point per pixel of a wide screen.
POINT_SECONDS = 0.2
MOST_POINTS = 1500

Point = list[float]
"""Unix seconds of its first frame, highest score, highest statistic, frames, frames above the threshold."""


class RecentScores:
    """Takes each score on the inspection thread; any thread may read.

    >>> recent = RecentScores()
    >>> for at, score in ((10.0, 0.5), (10.1, 0.9), (10.3, 0.4)):
    ...     recent.add(at, score, score, above=score > 0.8)
    >>> recent.points(None), recent.points(10.3)
    ([[10.0, 0.9, 0.9, 2, 1], [10.3, 0.4, 0.4, 1, 0]], [[10.3, 0.4, 0.4, 1, 0]])
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: deque[Point] = deque(maxlen=MOST_POINTS)
        self.part: Part | None = None
        """The last part that ended; None before the first, and where parts are not known."""

    def add(self, at: float, score: float, statistic: float, *, above: bool) -> None:
        """A frame was scored: Unix time in seconds, score, statistic, and whether it is above the threshold."""
        with self._lock:
            last = self._points[-1] if self._points else None
            if last is None or not 0.0 <= at - last[0] < POINT_SECONDS:
                self._points.append([round(at, 3), score, statistic, 1, int(above)])
                return
            last[1], last[2] = max(last[1], score), max(last[2], statistic)
            last[3] += 1
            last[4] += int(above)

    def points(self, since: float | None) -> list[Point]:
        """The points from a Unix time on, or all, oldest first; the last one may still grow."""
        with self._lock:
            return [list(point) for point in self._points if since is None or point[0] >= since]
