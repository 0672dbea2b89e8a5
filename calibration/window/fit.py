"""Whether a window of scores fits those that the model is known to give: is it this camera's model, are all parts good?

A model knows the scores of good images that it was not trained on, and of the same images with synthetic damage. Three
tests compare a window with them:

- *Level*: the middle of the window lies nearer to the damaged images than to the good ones. The model was trained for
  other parts, or for another view of them, and its score says nothing here.
- *Upper tail*: more of the window lies beyond a high level of the good images than chance explains. Level by level this
  is a count with a known distribution (beta-binomial; Wilks 1941, where the level is an order statistic). Beyond the
  highest good image the tail is extrapolated (Hill 1975), to tell one image slightly above it from many far above.
- *Apart*: images lie apart from the others of the window (`calibration/statistics/suspects.py`) and above every good
  image. The window shows its own tail, so this finds two defects in 50 images, with few good images to compare with.

A line differs from the training images: other light, dust on the lens. On real images such changes multiply all scores
by about the same factor, so the good images' scores are first multiplied by the ratio of the lower quantiles, which
defects hardly move. `benchmarks/fit` has the measurements.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammainc, gammaln, ndtri

from calibration.budgets import plural, rounded
from calibration.statistics import autocorrelation_time, suspected_frames

# The scores are matched at this quantile: with 30 % of defects it is the 29 % quantile of the good images.
_MATCHED = 0.2

# Levels of the upper tail, as the share of good images beyond them; 0 is the highest good image.
_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2)

# Beyond the highest good image, levels that so many images of a good window exceed on average.
_EXPECTED_BEYOND = (0.25, 1.0)

# Chance that a good window is stopped; each level gets its share (Bonferroni). The matching costs more: up to 5 % of
# the windows that differ from the held-out images by a factor are stopped, and 1 % of those that do not differ.
_CHANCE = 0.03

# The tail is extrapolated from this share of the good images, the highest, but from no fewer than so many.
_TAIL, _LEAST_TAIL = 0.2, 10

# Images lie apart by the square roots of the scores, and are above this many times the highest good image. Of good
# windows of 50 to 1,000 images, 0 to 0.3 % were stopped for that alone (300 or 400 windows of each of three sets and
# four laws; 1 % of X-ray parts at 50). By the scores themselves 0 to 1.8 %, for a few more defects; by their logarithms
# 0 to 0.3 %, for a quarter of the defects.
_APART = 1.15

# Without scores of damaged images: the level is foreign above this many times the highest good score. The shipped
# bundles score foreign images 1,800 times as high, and their own parts under 30 % less light 14 times.
_FOREIGN = 25.0

# Fewer held-out images have no upper tail to compare with.
_LEAST_HELD_OUT = 20


@dataclass(frozen=True, slots=True)
class TrainingScores:
    """The scores that a model is known to give."""

    good: NDArray[np.float64]
    """Scores of good images that were held out of training, in rising order [N], N ≥ 1."""
    damaged: float | None = None
    """Median score of the same images with synthetic damage; None: unknown."""

    @classmethod
    def of_summary(cls, count: int, minimum: float, median: float, p95: float, maximum: float) -> TrainingScores:
        """Approximate `count` scores of which only these figures are known; the logarithm is normal between them.

        >>> TrainingScores.of_summary(9, 0.5, 1.0, 2.0, 3.0).good.round(2).tolist()
        [0.5, 0.66, 0.77, 0.88, 1.0, 1.16, 1.38, 1.69, 3.0]
        """
        known = np.log(np.maximum([minimum, median, p95, maximum], np.finfo(np.float64).tiny))
        ranks = np.concatenate([[0.0, 0.5 * (count - 1), 0.95 * (count - 1), count - 1.0], np.arange(count)])
        deviates = ndtri((ranks + 0.5) / count)
        return cls(good=np.sort(np.exp(np.interp(deviates[4:], deviates[:4], known))))

    @property
    def highest(self) -> float:
        """The highest score of a good image."""
        return float(self.good[-1])

    @property
    def shows_upper_tail(self) -> bool:
        """True if there are enough held-out images to compare the upper tail of a window with theirs."""
        return self.good.size >= _LEAST_HELD_OUT

    @property
    def foreign_level(self) -> float:
        """The level from which a score is nearer to those of damaged images than to those of good ones, by ratio."""
        if self.damaged is None:
            return _FOREIGN * self.highest
        return max(self.highest, math.sqrt(self.highest * self.damaged))


class Misfit(str, Enum):
    """In which way a window does not fit."""

    FOREIGN = "foreign"
    """The whole window: the model does not fit the camera."""
    DEFECTS = "defects"
    """The upper tail: the window has images that may show bad parts."""
    SHIFTED = "shifted"
    """The whole window is above the good images of training, but below damaged ones: usable."""


@dataclass(frozen=True, slots=True)
class FitFinding:
    """What does not fit, and where."""

    misfit: Misfit
    reason: str
    """One line for people."""
    suspects: tuple[int, ...] = ()
    """For defects: places in the window, highest score first."""

    @property
    def stops(self) -> bool:
        """True if no threshold may be taken from this window before a person has looked at it."""
        return self.misfit is not Misfit.SHIFTED


def check_fit(scores: Sequence[float] | NDArray[np.float64], training: TrainingScores) -> FitFinding | None:
    """Compare a window's scores [N], in order of capture, with those of training; None if they fit.

    >>> known = TrainingScores(np.sort(np.random.default_rng(0).gamma(9.0, size=100)))
    >>> window = np.random.default_rng(1).gamma(9.0, size=300)
    >>> check_fit(window, known) is None
    True
    >>> window[::20] += 40
    >>> finding = check_fit(window, known)
    >>> finding.misfit.value, len(finding.suspects)
    ('defects', 15)
    """
    values = np.asarray(scores, dtype=np.float64)
    middle = float(np.median(values))
    if middle > training.foreign_level:
        return FitFinding(Misfit.FOREIGN, _foreign(middle, training))
    defects = _upper_tail(values, training) or _apart(values, training)
    if defects is not None:
        return defects
    return FitFinding(Misfit.SHIFTED, _shifted(middle, training)) if middle > training.highest else None


def noticed_from(training: TrainingScores, images: int) -> float:
    """Return from which share of a window of `images` on bad parts are noticed that score just above good ones.

    Fewer are noticed where they score far above; see `check_fit`. 1.0: too few good images were held out to notice any.

    >>> scores = np.sort(np.random.default_rng(0).gamma(9.0, size=100))
    >>> [round(noticed_from(TrainingScores(scores[-held_out:]), 300), 3) for held_out in (100, 21, 19)]
    [0.063, 0.233, 1.0]
    """
    if not training.shows_upper_tail:
        return 1.0
    beyond_highest, levels = _BetaBinomial(1, training.good.size), _known_levels(training.good)
    tests = len(levels) + len(_extrapolated_levels(training.good, images))
    counts = range(1, images + 1)
    stops = bisect_left(counts, True, key=lambda found: beyond_highest(found, images) * tests < _CHANCE)
    return counts[stops] / images if stops < images else 1.0


def _upper_tail(values: NDArray[np.float64], training: TrainingScores) -> FitFinding | None:
    if not training.shows_upper_tail:
        return None
    good = _matched(values, training)
    # Images that are alike count as the independent ones that they equal.
    time = autocorrelation_time(values[values <= np.quantile(values, 0.9)])
    levels = [*_known_levels(good), *_extrapolated_levels(good, values.size / time)]
    chances = [chance(float(np.count_nonzero(values > level)) / time, values.size / time) for level, chance in levels]
    lowest = int(np.argmin(chances))
    if chances[lowest] * len(levels) >= _CHANCE:
        return None
    level = levels[lowest][0]
    return _stopped(values, values > level, float(np.mean(good > level)) * values.size)


def _apart(values: NDArray[np.float64], training: TrainingScores) -> FitFinding | None:
    """Find images that lie apart from the others, and above all good ones."""
    suspected, _ = suspected_frames(np.sqrt(np.maximum(values, 0.0)))
    if not (training.shows_upper_tail and suspected.any()):
        return None
    apart = float(values[suspected].min()) > _APART * float(_matched(values, training)[-1])
    return _stopped(values, suspected, 0.0) if apart else None


def _matched(values: NDArray[np.float64], training: TrainingScores) -> NDArray[np.float64]:
    """Return the scores of the good images, rising, as they would be on a line that scores like the window."""
    usual = float(np.quantile(training.good, _MATCHED))
    return training.good * (max(1.0, float(np.quantile(values, _MATCHED)) / usual) if usual > 0.0 else 1.0)


def _stopped(values: NDArray[np.float64], above: NDArray[np.bool_], expected: float) -> FitFinding:
    suspects = np.flatnonzero(above)
    suspects = suspects[np.argsort(-values[suspects], kind="stable")]
    return FitFinding(Misfit.DEFECTS, _defects(suspects.size, values.size, expected), tuple(map(int, suspects)))


class _BetaBinomial:
    """Chance that so many of a window are beyond the r-th highest of N good scores."""

    def __init__(self, rank: int, count: int) -> None:
        self._above, self._below = rank, count + 1 - rank

    def __call__(self, beyond: float, images: float) -> float:
        count, least = max(1, round(images)), math.floor(beyond)
        numbers = np.arange(least, count + 1)
        ways = gammaln(count + 1) - gammaln(numbers + 1) - gammaln(count - numbers + 1)
        shares = betaln(numbers + self._above, count - numbers + self._below) - betaln(self._above, self._below)
        return float(min(1.0, np.exp(ways + shares).sum()))


class _Poisson:
    """Chance that so many are beyond a level that `expected` exceed on average."""

    def __init__(self, expected: float) -> None:
        self._expected = expected

    def __call__(self, beyond: float, images: float) -> float:
        least = math.floor(beyond)
        return float(gammainc(least, self._expected)) if least > 0 else 1.0


_Level = tuple[float, "_BetaBinomial | _Poisson"]


def _known_levels(good: NDArray[np.float64]) -> list[_Level]:
    ranks = sorted({max(1, math.ceil(share * good.size)) for share in _SHARES})
    return [(float(good[-rank]), _BetaBinomial(rank, good.size)) for rank in ranks]


def _extrapolated_levels(good: NDArray[np.float64], images: float) -> list[_Level]:
    """Levels of a tail that is a power of the share beyond: the logarithm of the scores is exponential.

    The exponent is estimated from the highest scores, plus one standard error.
    """
    count = max(_LEAST_TAIL, math.ceil(_TAIL * good.size))
    start, tail = float(good[-count - 1]), good[-count:]
    if start <= 0.0:
        return []
    exponent = float(np.log(tail / start).mean()) * (1.0 + 1.0 / math.sqrt(count))
    levels: list[_Level] = []
    for expected in _EXPECTED_BEYOND:
        times = max(1.0, count / good.size * images / expected) ** exponent
        levels.append((max(start * times, float(good[-1])), _Poisson(expected)))
    return levels


def _foreign(middle: float, training: TrainingScores) -> str:
    damaged = "" if training.damaged is None else f" and damaged ones about {rounded(training.damaged)}"
    return (
        f"the model does not fit this camera: its usual image scores {rounded(middle)}, where good images of the "
        f"training scored up to {rounded(training.highest)}{damaged}; train a model on images of this camera"
    )


def _defects(found: int, images: int, expected: float) -> str:
    usual = "none" if expected < 0.5 else f"about {round(expected):,}"
    return (
        f"the window may contain bad parts: {plural(found, 'image')} of {images:,} above the scores of good parts, "
        f"expected {usual}; look at them, and confirm them as good or throw them out"
    )


def _shifted(middle: float, training: TrainingScores) -> str:
    return (
        f"the images differ from those that the model was trained on: the usual one scores {rounded(middle)}, where "
        f"good images of the training scored up to {rounded(training.highest)}; small defects may stay unseen until a "
        "model is trained on images of this camera"
    )
