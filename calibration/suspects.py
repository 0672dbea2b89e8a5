"""Which frames of a window of "good" parts are not: defects, hands in the picture, a part that is missing.

The rule, stated: a frame is suspected where its score lies above a level that more frames pass than even a heavy-tailed
good line could explain. The good line is judged by what contamination cannot move, the part of the scores between their
75 % and 90 % quantiles; beyond that its tail is taken to be generalised Pareto with shape 1/4, that of a Student t with
four degrees of freedom, which no gamma, Weibull, normal or lognormal (sigma 1) line exceeds. Frames that pass a level
count as many as they are worth: as clusters, or as frames over the autocorrelation time, whichever is more.

So a few odd frames must lie far out to be suspected, and many need not: five per cent of defects at six standard
deviations are found, and a good heavy-tailed window keeps its highest scores, on which the threshold rests.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from calibration.dependence import autocorrelation_time
from calibration.episodes import EpisodeCounts

# More than this share of suspects and the window is refused: then nobody can say what good is.
MOST_SUSPECTED = 0.05

# Chance that a good window loses a frame to this rule, were its tail as heavy as the reference tail.
_MISS = 0.01

_LOW, _HIGH, _SHAPE = 0.75, 0.90, 0.25

# A spread of zero (scores that were rounded) must not make every frame above it a suspect.
_LEAST_SPREAD = 1e-6


def suspected_frames(scores: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Tell which frames of a window are suspected.

    Args:
        scores: finite scores [N] in the order they came.

    Returns:
        A mask bool [N], True where suspected, and the level above which frames are; infinite where none is.

    >>> scores = np.random.default_rng(3).gamma(4.0, size=400)
    >>> scores[100:108] += 12 * scores.std()
    >>> mask, level = suspected_frames(scores)
    >>> np.flatnonzero(mask)
    array([100, 101, 102, 103, 104, 105, 106, 107])
    """
    low, high = np.quantile(scores, [_LOW, _HIGH])
    spread = max(high - low, _LEAST_SPREAD * max(abs(high), 1e-12))
    growth = (1 - _LOW) / (1 - _HIGH)
    # Scale of a generalised Pareto tail from two of its quantiles, moved up to the higher one.
    scale = spread * _SHAPE / (growth**_SHAPE - 1) * growth**_SHAPE
    candidates = np.sort(scores[scores > high])[::-1]
    if not candidates.size:
        return np.zeros(scores.size, dtype=bool), float("inf")
    levels = np.nextafter(candidates, -np.inf)
    expected = scores.size * (1 - _HIGH) * (1 + _SHAPE * (candidates - high) / scale) ** (-1 / _SHAPE)
    seen = _worth(scores, levels, high)
    # The chance of seeing at least `seen` where `expected` are due is below the miss where expected is below this.
    most_due = gammaincinv(np.maximum(seen, 1.0), _MISS)
    failing = np.flatnonzero(expected < most_due)
    if not failing.size:
        return np.zeros(scores.size, dtype=bool), float("inf")
    level = _gap_below(scores, float(candidates[failing[-1]]), high)
    return scores > level, level


def _worth(scores: NDArray[np.float64], levels: NDArray[np.float64], high: float) -> NDArray[np.float64]:
    """How many independent frames those above each level are worth."""
    time = autocorrelation_time(np.minimum(scores, high))
    clusters = EpisodeCounts(scores, quiet_frames=max(1, int(3 * time))).at_levels(levels)
    return np.asarray(np.maximum(clusters, np.arange(1, levels.size + 1) / time))


def _gap_below(scores: NDArray[np.float64], lowest: float, high: float) -> float:
    """Where to cut: in the middle of the gap under the lowest frame that fails."""
    below = scores[scores < lowest]
    nearest = float(below.max()) if below.size else high
    return 0.5 * (nearest + lowest)
