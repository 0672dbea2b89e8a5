"""Alarm episodes: what a false-alarm budget counts.

An *episode* at a level u starts at a frame whose statistic lies above u while that of each of the `quiet_frames` frames
before it does not; frames above u that follow within `quiet_frames` belong to it and count no more. With
`quiet_frames=1` every maximal run above u is an episode: the strictest count, and never less than one with a longer
quiet time. A person who clears an alarm and sees the next one counts the same way (runs declustering: Coles 2001,
section 5.3.2).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d


class EpisodeCounts:
    """The number of episodes of one statistic at every level, from two sorted arrays.

    Frame t starts an episode at exactly the levels from the highest of the `quiet_frames` values before it up to its
    own value, so a count at a level is a difference of two ranks.

    >>> counts = EpisodeCounts([0.0, 5.0, 1.0, 3.0, 0.0, 4.0])
    >>> [counts.at(level) for level in (0.5, 2.0, 3.5, 5.0)]
    [2, 3, 2, 0]
    """

    def __init__(self, statistic: ArrayLike, *, quiet_frames: int = 1) -> None:
        values = np.asarray(statistic, dtype=np.float64)
        before = highest_before(values, quiet_frames)
        starting = values > before
        self.frames = values.size
        """Length of the statistic, frames."""
        self._highs = np.sort(values[starting])
        self._lows = np.sort(before[starting])

    def mapped(self, rising: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> EpisodeCounts:
        """Return the counts of the statistic after a rising function of it; nothing is counted anew."""
        other = copy(self)
        other._highs, other._lows = rising(self._highs), rising(self._lows)
        return other

    def at(self, level: float) -> int:
        """Count the episodes at one level."""
        return int(self.at_levels(np.array([level]))[0])

    def at_levels(self, levels: NDArray[np.float64]) -> NDArray[np.int64]:
        """Count the episodes at each of the levels [n]: int64 [n]."""
        started = self._highs.size - np.searchsorted(self._highs, levels, side="right")
        blocked = self._lows.size - np.searchsorted(self._lows, levels, side="right")
        return np.asarray(started - blocked, dtype=np.int64)

    def highest_levels(self, many: int) -> NDArray[np.float64]:
        """Return the levels at which the first, second, … episode appears as a level sinks: float64 [≤ many].

        They play the part that order statistics play for independent values: just below the j-th of them there are at
        least j episodes, and at it and above there are fewer.

        >>> EpisodeCounts([0.0, 5.0, 1.0, 3.0, 0.0, 4.0]).highest_levels(3)
        array([5., 4., 3.])
        """
        highs = self._highs[::-1][: 4 * many + 64]
        while True:
            below = np.nextafter(highs, -np.inf)
            reached = np.maximum.accumulate(self.at_levels(below))
            if not reached.size or reached[-1] >= many or highs.size == self._highs.size:
                break
            highs = self._highs[::-1][: 4 * highs.size]
        wanted = np.arange(1, min(many, int(reached[-1]) if reached.size else 0) + 1)
        return np.asarray(highs[np.searchsorted(reached, wanted)])


def highest_before(values: NDArray[np.float64], quiet_frames: int) -> NDArray[np.float64]:
    """Return for each frame the highest of the `quiet_frames` values before it, -inf at the start: float64 [N]."""
    if values.size == 0:
        return values
    padded = np.concatenate(([-np.inf], values[:-1]))
    if quiet_frames <= 1:
        return padded
    # A filter of `size` centred at its last element looks back over `size` values.
    size = min(quiet_frames, values.size)
    return np.asarray(maximum_filter1d(padded, size, origin=(size - 1) // 2, mode="constant", cval=-np.inf))


def episode_starts(statistic: ArrayLike, level: float, *, quiet_frames: int = 1) -> NDArray[np.int64]:
    """Return the frames at which episodes at this level start: int64 [episodes], rising."""
    values = np.asarray(statistic, dtype=np.float64)
    return np.flatnonzero((values > level) & (highest_before(values, quiet_frames) <= level))
