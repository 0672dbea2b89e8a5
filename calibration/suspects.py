"""Which frames of a window of "good" parts are not: defects, hands in the picture, a part that is missing.

The rule, stated: frames are suspected where they lie above an empty stretch between two neighbouring scores and good
frames could not have got there, by one of three tests. What good frames do is read off what a few bad ones cannot move,
their middling quantiles; beyond those a generalised Pareto tail of shape 0.15 is granted, which over the levels that
windows reach covers gamma, Weibull, normal, moderately lognormal and Student t (4 degrees) scores.

- *Stretch*: all frames above it (as many as they are worth: runs, or frames over the autocorrelation time, whichever is
  more) would have to lie beyond the stretch by chance.
- *Count*: more of them lie there than the granted tail puts there, clusters as large as these counted once.
- *Jump*: on a line whose scores move slowly, they are reached and left by steps that its other steps do not explain.

Widest stretch first: those above it are set aside and the rest is judged anew, so that one group of suspects casts no
suspicion on the next.
Frames between or beside suspects that lie nearer to them than to the good ones go with them.
A single odd frame must lie far out to be suspected; many, or sudden ones, need not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label
from scipy.special import gammainc

from calibration.dependence import autocorrelation_time

# So much of a window may be bad. High good frames are suspected with the bad ones, and runs beside them: with 5 % of
# defects, 95 % of windows had 5.6 to 7.3 % of suspects (300 and 1,000 frames, nine distributions, correlation 0 to
# 0.98). Beyond the sum the window is refused: then nobody can say what good is.
MOST_BAD, _GOOD_SUSPECTED = 0.05, 0.02
MOST_SUSPECTED = MOST_BAD + _GOOD_SUSPECTED

# Stretches are looked for among this share of the scores, the highest.
_LOOKED_AT = 0.25

# The widest stretches, each measured by the tail's own spread at its place; the others cannot fail.
_MOST_STRETCHES = 40

# Chance, by any one test, below which frames are suspected.
_MISS = 2e-3

# Groups that are set aside one after the other.
_MOST_GROUPS = 8

# Quantiles that the granted tail is read off: of the scores, and of the steps, twice as many of which a bad frame
# spoils.
_SCORE_QUANTILES, _STEP_QUANTILES = (0.75, 0.90), (0.50, 0.75)
_SHAPE = 0.15

# Standard errors of the tail's scale that are granted on top of it. A window of 50 parts with four frames each has five
# parts above the higher quantile. On the simulator's X-ray line (200 and 300 frames, 42 windows) this left 14 % of the
# windows without a good part, not 24 %; with 1.64 it would be 12 %, and 5 % of six sigma defects went unnoticed.
_DOUBTS = 1.0

# Where stretches begin below the higher quantile, good lines of two kinds of part have them too: only wide ones count.
_LEAST_WIDTH_INSIDE = 1.0

# A spread of zero (scores that were rounded) must not make every frame above it a suspect.
_LEAST_SPREAD = 1e-6

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Granted:
    """The tail that good values may have beyond a high quantile."""

    high: float
    scale: float
    share: float
    """Of good values beyond `high`."""

    @classmethod
    def of(cls, values: Values, quantiles: tuple[float, float], independent: float) -> _Granted:
        """Read it off two quantiles of the values, which are worth so many independent ones.

        What lies between two quantiles is known as well as their number allows, by the theory for exponential tails
        (Rényi 1953); the tail is granted the upper end of that.
        """
        low, high = np.quantile(values, quantiles)
        shares = 1 - np.array(quantiles)
        spread = max(high - low, _LEAST_SPREAD * max(abs(high), 1e-12))
        doubt = math.sqrt((1 / shares[1] - 1 / shares[0]) / independent) / math.log(shares[0] / shares[1])
        growth = (shares[0] / shares[1]) ** _SHAPE
        scale = spread * (1 + _DOUBTS * doubt) * _SHAPE / (growth - 1) * growth
        return cls(float(high), float(scale), float(shares[1]))

    def spread_at(self, values: Values) -> Values:
        """The tail's scale beyond each value: what an empty stretch is measured by."""
        return np.asarray(self.scale + _SHAPE * np.maximum(values - self.high, 0.0))

    def beyond(self, value: float) -> float:
        """Share of good values beyond one, which is at least `high`."""
        return float(self.share * (1 + _SHAPE * max(value - self.high, 0.0) / self.scale) ** (-1 / _SHAPE))


def suspected_frames(scores: Values) -> tuple[Mask, float]:
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
    if scores.size < 10:
        return np.zeros(scores.size, dtype=bool), float("inf")
    level = float("inf")
    for _ in range(_MOST_GROUPS):
        found = _suspicious_level(scores[scores <= level])
        if found is None:
            break
        level = found
    return _with_neighbours(scores, scores > level), level


def doubtful_level(scores: Values, suspected: Mask, rate: float) -> float | None:
    """The middle between the highest frame that stays and the lowest suspected one, where that may yet be a good one.

    It may where the tail that it was suspected by reaches it in a share of `rate` of the good frames, > 0. Then what
    was left out may have been the tail of the good ones, and what is left has none to tell the tail from. None where no
    good frame gets there, or nothing is suspected. Takes scores [N] and a mask bool [N] as `suspected_frames` gives it.

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
    granted = _Granted.of(kept, _SCORE_QUANTILES, kept.size / _time(kept))
    return 0.5 * (float(kept.max()) + lowest) if granted.beyond(lowest) >= rate else None


def _time(scores: Values) -> float:
    """Autocorrelation time of the middling scores, which a few bad ones cannot move."""
    return autocorrelation_time(scores[scores <= np.quantile(scores, _SCORE_QUANTILES[1])])


def _with_neighbours(scores: Values, suspected: Mask) -> Mask:
    """Suspected frames, and the unbroken runs of frames around them that lie nearer to them than to the good ones."""
    if not suspected.any() or suspected.all():
        return suspected
    good = float(np.quantile(scores[~suspected], _SCORE_QUANTILES[1]))
    runs, _ = label(scores > 0.5 * (good + float(scores[suspected].min())))
    return suspected | np.isin(runs, np.unique(runs[suspected & (runs > 0)]))


def _suspicious_level(scores: Values) -> float | None:
    """The middle of the widest stretch that good frames could not have left; None where there is none."""
    time = _time(scores)
    values = _Granted.of(scores, _SCORE_QUANTILES, scores.size / time)
    steps = _Granted.of(np.abs(np.diff(scores)), _STEP_QUANTILES, scores.size)
    for under, over in _widest_stretches(scores, values):
        chances = (
            _stretch_chance(scores, under, over, values, time),
            _count_chance(scores, over, values, time),
            _jump_chance(scores, over, steps),
        )
        if min(chances) < _MISS:
            return 0.5 * (under + over)
    return None


def _widest_stretches(scores: Values, granted: _Granted) -> list[tuple[float, float]]:
    """Neighbouring scores, lower and higher, with nothing between them."""
    looked_at = max(2, int(_LOOKED_AT * scores.size))
    highest = np.sort(np.partition(scores, scores.size - looked_at)[scores.size - looked_at :])
    under, over = highest[:-1], highest[1:]
    width = (over - under) / granted.spread_at(under)
    widest = np.argsort(-width)[:_MOST_STRETCHES]
    return [(float(under[at]), float(over[at])) for at in widest if width[at] > 0]


def _stretch_chance(scores: Values, under: float, over: float, granted: _Granted, time: float) -> float:
    """Chance that all good frames above the lower end of the stretch lie beyond its upper end."""
    worth = _worth(scores >= over, time)
    width = (over - under) / granted.spread_at(np.array([under]))[0]
    if under < granted.high and width < _LEAST_WIDTH_INSIDE:
        return 1.0
    # A good line has one such stretch at every rank: the ranks share the chance out as 1 / (j (j + 1)).
    ranks = worth * (worth + 1) / 2
    return float(min(1.0, ranks * (1 + _SHAPE * width) ** (-worth / _SHAPE)))


def _count_chance(scores: Values, over: float, granted: _Granted, time: float) -> float:
    """Chance that the granted tail puts so many frames there, in clusters of the size that they come in."""
    if over <= granted.high:
        return 1.0
    above = scores >= over
    worth = _worth(above, time)
    return float(gammainc(worth, scores.size * granted.beyond(over) * worth / np.count_nonzero(above)))


def _worth(above: Mask, time: float) -> float:
    """How many independent frames these are worth: runs, or frames over the autocorrelation time."""
    runs = np.count_nonzero(above[1:] & ~above[:-1]) + int(above[0])
    return float(max(runs, np.count_nonzero(above) / time))


def _jump_chance(scores: Values, over: float, granted: _Granted) -> float:
    """Chance that good frames are reached and left by so many such steps."""
    above = np.concatenate(([False], scores >= over, [False]))
    starts, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:]) - 1
    inner = (starts > 0) & (ends < scores.size - 1)
    starts, ends = starts[inner], ends[inner]
    if not starts.size:
        return 1.0
    jumps = np.minimum(scores[starts] - scores[starts - 1], scores[ends] - scores[ends + 1])
    # Most of them: a bad run may start in the middle of a high spell of the good ones.
    expected = scores.size * granted.beyond(float(np.quantile(jumps, 0.25)))
    return float(gammainc(starts.size, expected))
