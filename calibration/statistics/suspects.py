"""Which frames of a window of "good" parts may not be good: defects, hands in the image, missing parts.

The rule: frames are suspected if they are above a gap between two neighbouring scores and, by one of three tests, good
frames could not have got there. The behaviour of good frames is estimated from middle quantiles, which a few bad frames
cannot move. Beyond those the tests allow for a generalised Pareto tail of shape 0.15, which over the levels that
windows reach covers gamma, Weibull, normal, moderately lognormal and Student t (4 degrees) scores.

- *Gap*: all frames above it (as many as count: runs, or frames over the autocorrelation time, whichever is more) would
  have to be beyond the gap by chance.
- *Count*: there are more of them than the allowed tail puts there; clusters of their size count once.
- *Jump*: on a line whose scores change slowly, they are reached and left by steps that its other steps do not explain.

The widest gap comes first: frames above it are set aside and the others are tested again, so that one group of suspects
casts no suspicion on the next.
Frames between or beside suspects that are nearer to them than to the good ones are suspected with them.
A single odd frame must be far out to be suspected; many of them, or sudden ones, need not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.special import gammainc

from calibration.statistics.dependence import autocorrelation_time
from calibration.statistics.episodes import Values

# Allowed share of bad frames in a window. High good frames are suspected with the bad ones, and runs beside them: with
# 5 % of defects, 95 % of windows had 5.6 to 7.3 % of suspects (300 and 1,000 frames, nine distributions, correlation 0
# to 0.98). Beyond the sum the window is rejected, because the good frames can no longer be identified.
MOST_BAD, _GOOD_SUSPECTED = 0.05, 0.02
MOST_SUSPECTED = MOST_BAD + _GOOD_SUSPECTED

# Gaps are searched for among this share of the scores, the highest.
_SEARCHED_SHARE = 0.25

# Number of gaps that are tested, the widest relative to the spread of the tail at their place; no other can fail.
_MOST_GAPS = 40

# Frames are suspected if any one test gives them a lower probability than this.
_MISS = 2e-3

# Number of groups that are set aside one after the other.
_MOST_GROUPS = 8

# Quantiles that the allowed tail is estimated from: of the scores, and of the steps, of which a bad frame spoils twice
# as many.
_SCORE_QUANTILES, _STEP_QUANTILES = (0.75, 0.90), (0.50, 0.75)
_SHAPE = 0.15

# Standard errors added to the scale of the tail. A window of 50 parts with four frames each has five parts above the
# higher quantile. On the simulator's X-ray line (200 and 300 frames, 42 windows) this left a good part out of 14 % of
# the windows instead of 24 %; with 1.64 it would be 12 %, and 5 % of six sigma defects went unnoticed.
_DOUBTS = 1.0

# Good lines with two kinds of part have gaps that begin below the higher quantile too: only wide ones count there.
_LEAST_WIDTH_INSIDE = 1.0

# Least spread, as a share of the higher quantile: with none (rounded scores), every frame above it would be suspected.
_LEAST_SPREAD = 1e-6

_Mask = NDArray[np.bool_]


def most_kept_out(frames: int) -> int:
    """The most frames that may be kept out of a window of so many others: a share of `MOST_BAD` of all of them.

    >>> most_kept_out(100), most_kept_out(95)
    (5, 5)
    """
    return math.floor(MOST_BAD * frames / (1 - MOST_BAD) + 1e-9)


@dataclass(frozen=True, slots=True)
class _AllowedTail:
    """The heaviest tail beyond a high quantile that good values may have."""

    high: float
    scale: float
    share: float
    """Share of good values beyond `high`."""

    @classmethod
    def of(cls, values: Values, quantiles: tuple[float, float], independent: float) -> _AllowedTail:
        """Estimate it from two quantiles of values that equal so many independent ones.

        The distance between two quantiles has a standard error by the theory of exponential tails (Rényi 1953). The
        scale is the upper end of that.
        """
        low, high = np.quantile(values, quantiles)
        shares = 1 - np.array(quantiles)
        spread = max(high - low, _LEAST_SPREAD * max(abs(high), 1e-12))
        doubt = math.sqrt((1 / shares[1] - 1 / shares[0]) / independent) / math.log(shares[0] / shares[1])
        growth = (shares[0] / shares[1]) ** _SHAPE
        scale = spread * (1 + _DOUBTS * doubt) * _SHAPE / (growth - 1) * growth
        return cls(float(high), float(scale), float(shares[1]))

    def spread_at(self, values: Values) -> Values:
        """Return the scale of the tail beyond each value, the unit in which gaps are measured."""
        return np.asarray(self.scale + _SHAPE * np.maximum(values - self.high, 0.0))

    def beyond(self, value: float) -> float:
        """Return the share of good values beyond one that is at least `high`."""
        return float(self.share * (1 + _SHAPE * max(value - self.high, 0.0) / self.scale) ** (-1 / _SHAPE))


def suspected_frames(scores: Values) -> tuple[_Mask, float]:
    """Find the suspected frames of a window.

    Args:
        scores: finite scores [N] in order of capture.

    Returns:
        A mask bool [N], True if suspected, and the level above which frames are suspected; infinite if none is.

    >>> scores = np.random.default_rng(3).gamma(4.0, size=400)
    >>> scores[100:108] += 12 * scores.std()
    >>> mask, level = suspected_frames(scores)
    >>> np.flatnonzero(mask)
    array([100, 101, 102, 103, 104, 105, 106, 107])
    """
    if scores.size < 10:
        return np.zeros(scores.size, dtype=bool), float("inf")
    level = float("inf")
    for _ in range(_MOST_GROUPS):
        found = _suspicious_level(scores[scores <= level])
        if found is None:
            break
        level = found
    return _with_neighbours(scores, scores > level), level


def doubtful_level(scores: Values, suspected: _Mask, rate: float) -> float | None:
    """Return the middle between the highest kept frame and the lowest suspected one, if the latter may be good.

    It may be good if the allowed tail reaches it in a share of at least `rate` > 0 of the good frames. Then the frames
    left out may have been the tail of the good ones, and the frames kept do not show that tail. None if good frames do
    not reach it, or nothing is suspected. Takes scores [N] and the mask bool [N] of `suspected_frames`.

    >>> scores = np.random.default_rng(3).gamma(4.0, size=400)
    >>> scores[100:108] += 12 * scores.std()
    >>> mask, _ = suspected_frames(scores)
    >>> doubtful_level(scores, mask, 1e-3), round(doubtful_level(scores, mask, 1e-5), 1)
    (None, 19.5)
    """
    kept = scores[~suspected]
    if not kept.size or kept.size == scores.size:
        return None
    lowest = float(scores[suspected].min())
    allowed = _AllowedTail.of(kept, _SCORE_QUANTILES, kept.size / _time(kept))
    return 0.5 * (float(kept.max()) + lowest) if allowed.beyond(lowest) >= rate else None


def _time(scores: Values) -> float:
    """Return the autocorrelation time of all but the highest scores, which a few bad ones cannot change."""
    return autocorrelation_time(scores[scores <= np.quantile(scores, _SCORE_QUANTILES[1])])


def _with_neighbours(scores: Values, suspected: _Mask) -> _Mask:
    """Add the unbroken runs of frames around suspects that are nearer to them than to the good frames."""
    if not suspected.any() or suspected.all():
        return suspected
    good = float(np.quantile(scores[~suspected], _SCORE_QUANTILES[1]))
    runs, _ = label(scores > 0.5 * (good + float(scores[suspected].min())))
    return suspected | np.isin(runs, np.unique(runs[suspected & (runs > 0)]))


def _suspicious_level(scores: Values) -> float | None:
    """Return the middle of the widest gap that good frames could not have left; None if there is none."""
    time = _time(scores)
    values = _AllowedTail.of(scores, _SCORE_QUANTILES, scores.size / time)
    steps = _AllowedTail.of(np.abs(np.diff(scores)), _STEP_QUANTILES, scores.size)
    for under, over in _widest_gaps(scores, values):
        chances = (
            _gap_chance(scores, under, over, values, time),
            _count_chance(scores, over, values, time),
            _jump_chance(scores, over, steps),
        )
        if min(chances) < _MISS:
            return 0.5 * (under + over)
    return None


def _widest_gaps(scores: Values, allowed: _AllowedTail) -> list[tuple[float, float]]:
    """Return pairs of neighbouring scores, lower and higher, the widest gap first."""
    searched = max(2, int(_SEARCHED_SHARE * scores.size))
    highest = np.sort(np.partition(scores, scores.size - searched)[scores.size - searched :])
    under, over = highest[:-1], highest[1:]
    width = (over - under) / allowed.spread_at(under)
    widest = np.argsort(-width)[:_MOST_GAPS]
    return [(float(under[at]), float(over[at])) for at in widest if width[at] > 0]


def _gap_chance(scores: Values, under: float, over: float, allowed: _AllowedTail, time: float) -> float:
    """Return the probability that all good frames above the lower end of the gap are beyond its upper end."""
    worth = _worth(scores >= over, time)
    width = (over - under) / allowed.spread_at(np.array([under]))[0]
    if under < allowed.high and width < _LEAST_WIDTH_INSIDE:
        return 1.0
    # A good line has such a gap at every rank: the ranks share the probability as 1 / (j (j + 1)).
    ranks = worth * (worth + 1) / 2
    return float(min(1.0, ranks * (1 + _SHAPE * width) ** (-worth / _SHAPE)))


def _count_chance(scores: Values, over: float, allowed: _AllowedTail, time: float) -> float:
    """Return the probability that the allowed tail puts so many frames there, in clusters of their size."""
    if over <= allowed.high:
        return 1.0
    above = scores >= over
    worth = _worth(above, time)
    return float(gammainc(worth, scores.size * allowed.beyond(over) * worth / np.count_nonzero(above)))


def _worth(above: _Mask, time: float) -> float:
    """Return how many independent frames these equal: runs, or frames over the autocorrelation time."""
    runs = np.count_nonzero(above[1:] & ~above[:-1]) + int(above[0])
    return float(max(runs, np.count_nonzero(above) / time))


def _jump_chance(scores: Values, over: float, allowed: _AllowedTail) -> float:
    """Return the probability that good frames are reached and left by so many such steps."""
    above = np.concatenate(([False], scores >= over, [False]))
    starts, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:]) - 1
    inner = (starts > 0) & (ends < scores.size - 1)
    starts, ends = starts[inner], ends[inner]
    if not starts.size:
        return 1.0
    jumps = np.minimum(scores[starts] - scores[starts - 1], scores[ends] - scores[ends + 1])
    # The lower quartile of the steps: a bad run may start while the good scores are high.
    expected = scores.size * allowed.beyond(float(np.quantile(jumps, 0.25)))
    return float(gammainc(starts.size, expected))
