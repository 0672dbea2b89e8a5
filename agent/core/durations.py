"""Recent durations and their percentiles."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

_MAX_KEPT = 10_000


class Durations:
    """The last 10,000 durations. Any thread may add and read.

    >>> durations = Durations()
    >>> for i in range(1, 101): durations.add(i / 1000)
    >>> durations.percentiles()
    (50.5, 95.05, 99.01)
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=_MAX_KEPT)
        self._lock = threading.Lock()
        self.on_add: Callable[[float], None] | None = None
        """Called with every duration as it is added, seconds."""

    def add(self, seconds: float) -> None:
        """Add a duration, seconds."""
        with self._lock:
            self._seconds.append(seconds)
        if self.on_add is not None:
            self.on_add(seconds)

    def percentiles(self) -> tuple[float, float, float] | None:
        """p50, p95 and p99 in milliseconds; None before the first duration."""
        # Not at module level: a process that only reads documents stays without NumPy, 20 MB.
        import numpy as np

        with self._lock:
            seconds = np.array(self._seconds)
        if not seconds.size:
            return None
        p50, p95, p99 = (round(float(ms), 3) for ms in np.percentile(seconds * 1000.0, (50, 95, 99)))
        return p50, p95, p99
