"""Alarm episodes, the unit in which a false-alarm budget counts.

An *episode* at a level u starts at a frame whose statistic is above u while that of each of the `quiet_frames` frames
before it is not. Frames above u that follow within `quiet_frames` belong to the same episode. With `quiet_frames=1`
every maximal run above u is an episode, never fewer than with a longer quiet time. A person who clears an alarm and
sees the next one counts the same way (runs declustering: Coles 2001, section 5.3.2). With `quiet_frames=0` every frame
above u is an episode of its own: the count of bad parts where each frame is another part.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter1d

Values = NDArray[np.float64]


class EpisodeCounts:
    """The number of episodes of one statistic [N] at every level, from two sorted arrays.

    A frame starts an episode at exactly the levels from the highest of the `quiet_frames` values before it up to its
    own value, so the count at a level is a difference of two ranks.

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

    def mapped(self, rising: Callable[[Values], Values]) -> EpisodeCounts:
        """Return the counts of a rising function of the statistic, without counting again."""
        other = copy(self)
        other._highs, other._lows = rising(self._highs), rising(self._lows)
        return other

    def at(self, level: float) -> int:
        """Count the episodes at one level."""
        return int(self.at_levels(np.array([level]))[0])

    def at_levels(self, levels: Values) -> NDArray[np.int64]:
        """Count the episodes at each of the levels [n]: int64 [n]."""
        started = self._highs.size - np.searchsorted(self._highs, levels, side="right")
        blocked = self._lows.size - np.searchsorted(self._lows, levels, side="right")
        return np.asarray(started - blocked, dtype=np.int64)

    def highest_levels(self, number: int) -> Values:
        """Return the levels at which the first, second, … episode appears as the level falls: float64 [≤ number].

        They correspond to the order statistics of independent values: just below the j-th of them there are at least
        j episodes, at it and above there are fewer.

        >>> EpisodeCounts([0.0, 5.0, 1.0, 3.0, 0.0, 4.0]).highest_levels(3)
        array([5., 4., 3.])
        """
        highs = self._highs[::-1][: 4 * number + 64]
        while True:
            below = np.nextafter(highs, -np.inf)
            reached = np.maximum.accumulate(self.at_levels(below))
            if not reached.size or reached[-1] >= number or highs.size == self._highs.size:
                break
            highs = self._highs[::-1][: 4 * highs.size]
        wanted = np.arange(1, min(number, int(reached[-1]) if reached.size else 0) + 1)
        return np.asarray(highs[np.searchsorted(reached, wanted)])


def highest_before(values: Values, quiet_frames: int) -> Values:
    """Return the highest of the `quiet_frames` values before each frame, -inf for the first: float64 [N]."""
    if values.size == 0:
        return values
    if quiet_frames == 0:
        return np.full(values.size, -np.inf)
    padded = np.concatenate(([-np.inf], values[:-1]))
    if quiet_frames <= 1:
        return padded
    # A filter of this size, centred at its last element, covers the `size` values before it.
    size = min(quiet_frames, values.size)
    return np.asarray(maximum_filter1d(padded, size, origin=(size - 1) // 2, mode="constant", cval=-np.inf))


def episode_starts(statistic: ArrayLike, level: float, *, quiet_frames: int = 1) -> NDArray[np.int64]:
    """Return the frames at which the episodes at this level start: int64 [episodes], rising."""
    values = np.asarray(statistic, dtype=np.float64)
    return np.flatnonzero((values > level) & (highest_before(values, quiet_frames) <= level))
