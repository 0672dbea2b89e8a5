"""Simulated lines: scores of any distribution with any lag-1 correlation, and the true rate of any threshold on them.

A line is a Gaussian AR(1) series mapped through the quantile function of its distribution (a Gaussian copula), so the
distribution is exact and the dependence the same for all. Mapping keeps the order of values, so episodes above a level
of the scores are episodes above a level of the Gaussian series. One long series per correlation and rule therefore
gives the true rate of every threshold on every line, to a few per cent, without fresh data for each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from calibration import Rule
from calibration.statistics.episodes import EpisodeCounts, Values

# Quantile functions are interpolated between these levels; no simulated frame is beyond 7 sigma.
_GRID = np.linspace(-7.0, 7.0, 28_001)
_PER_STEP = 2_000.0


@dataclass(frozen=True)
class Distribution:
    """Scores of good parts."""

    name: str
    quantile: Callable[[Values], Values]
    """Maps upper tail probabilities to the values exceeded with them."""
    exceeded: Callable[[Values], Values]
    """Probability of exceeding a value."""
    spread: float
    """Standard deviation."""
    table: Values
    """Scores at the levels `_GRID` of the Gaussian series."""

    def scores(self, gaussian: Values) -> Values:
        """Map a Gaussian series to scores of this distribution."""
        # Even steps need no search: ten times as fast as np.interp on unsorted values.
        places = np.clip((gaussian - _GRID[0]) * _PER_STEP, 0.0, _GRID.size - 1.001)
        lower = places.astype(np.intp)
        below = self.table[lower]
        return below + (self.table[lower + 1] - below) * (places - lower)

    def score(self, gaussian_level: float) -> float:
        """Map one level of the Gaussian series, of any height."""
        return float(self.quantile(ndtr(-np.asarray(gaussian_level))))


def _plain(name: str, law: stats.rv_frozen) -> Distribution:
    return Distribution(name, law.isf, law.sf, float(law.std()), law.isf(ndtr(-_GRID)))


def _bimodal() -> Distribution:
    """Return two kinds of good part, 7 : 3, three and a half standard deviations apart."""
    grid = np.linspace(-8, 14, 44_001)
    upper = 0.7 * ndtr(-grid) + 0.3 * ndtr(-(grid - 3.5) / 1.2)
    logs = np.log(upper)

    def quantile(probability: Values) -> Values:
        return np.interp(-np.log(probability), -logs, grid)

    def exceeded(value: Values) -> Values:
        return np.exp(np.interp(value, grid, logs))

    variance = 0.7 * 1 + 0.3 * 1.44 + 0.7 * 0.3 * 3.5**2
    return Distribution("bimodal", quantile, exceeded, float(np.sqrt(variance)), quantile(ndtr(-_GRID)))


DISTRIBUTIONS = (
    _plain("gamma", stats.gamma(4.0)),
    _plain("lognormal", stats.lognorm(0.5)),
    _plain("Weibull", stats.weibull_min(1.5)),
    _bimodal(),
    _plain("Student t4", stats.t(4.0)),
)


def gaussian_ar1(generator: np.random.Generator, correlation: float, shape: tuple[int, int]) -> Values:
    """Return stationary standard normal series [lines, frames] with this lag-1 correlation."""
    noise = generator.standard_normal(shape)
    if correlation == 0:
        return noise
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    return lfilter([1.0], [1.0, -correlation], noise, axis=1)


# Length of the blocks for the dispersion, frames: over a hundred decay times of the slowest line.
_BLOCK_FRAMES = 10_000

_KEPT = ("levels", "_log_rate", "_above", "_dispersion")


class LineTruth:
    """True episode rate and detection of a rule on lines of one correlation, by level of the Gaussian series."""

    def __init__(self, correlation: float, rule: Rule, *, frames: int, seed: int) -> None:
        """Simulate so many frames, a million at a time."""
        generator = np.random.default_rng(seed)
        self.levels = np.linspace(-5.0, 7.0, 1201)
        counts, above, total = np.zeros(self.levels.size), np.zeros(self.levels.size), 0
        blocks = []
        for _ in range(max(1, frames // 1_000_000)):
            statistic = rule.statistic(gaussian_ar1(generator, correlation, (1, 1_000_000))[0])
            counts += EpisodeCounts(statistic).at_levels(self.levels)
            above += statistic.size - np.searchsorted(np.sort(statistic), self.levels, side="right")
            total += statistic.size
            whole = statistic[: statistic.size // _BLOCK_FRAMES * _BLOCK_FRAMES].reshape(-1, _BLOCK_FRAMES)
            blocks += [EpisodeCounts(block).at_levels(self.levels) for block in whole]
        self._log_rate = self._smooth(counts, total, rule)
        self._above = above / total
        self._dispersion = np.var(blocks, axis=0) / np.maximum(np.mean(blocks, axis=0), 1e-9)

    @classmethod
    def stored(cls, path: Path, correlation: float, rule: Rule, *, frames: int, seed: int) -> LineTruth:
        """Read it from a file, or simulate it and write the file."""
        if not path.exists():
            simulated = cls(correlation, rule, frames=frames, seed=seed)
            np.savez(path, **{name: getattr(simulated, name) for name in _KEPT})
            return simulated
        truth = cls.__new__(cls)
        with np.load(path) as file:
            for name in _KEPT:
                setattr(truth, name, file[name])
        return truth

    def _smooth(self, counts: Values, total: int, rule: Rule) -> Values:
        """Return the log rate; beyond 400 episodes a parabola in the level, as for Gaussian tails."""
        well = counts >= 400
        log_rate = np.log(np.maximum(counts, 1e-9) / total)
        fitted = well & (counts < 4e5) & (self.levels > 1.0 / rule.k)
        curve = np.polyfit(self.levels[fitted], log_rate[fitted], 2, w=np.sqrt(counts[fitted]))
        last = int(np.flatnonzero(well)[-1])
        beyond = np.arange(self.levels.size) > last
        slope = np.minimum(np.polyval(np.polyder(curve), self.levels), -0.1)
        step = self.levels[1] - self.levels[0]
        extended = log_rate[last] + np.cumsum(np.where(beyond, slope * step, 0.0))
        return np.where(beyond, extended, log_rate)

    def rates(self, gaussian_levels: Values) -> Values:
        """Return episodes per frame above levels of the Gaussian series."""
        return np.exp(np.interp(gaussian_levels, self.levels, self._log_rate))

    def level(self, rate: float) -> float:
        """Return the oracle's threshold: the level of the Gaussian series at which episodes have this rate."""
        top = int(np.argmax(self._log_rate))
        return float(np.interp(-np.log(rate), -self._log_rate[top:], self.levels[top:]))

    def dispersion(self, rate: float) -> float:
        """Return the dispersion of the episode counts at the level of a rate; exact to 3 % from 20 million frames."""
        return max(1.0, float(np.interp(self.level(rate), self.levels, self._dispersion)))

    def above(self, gaussian_levels: Values) -> Values:
        """Return the share of frames whose statistic is above levels of the Gaussian series; 1 far below."""
        return np.interp(gaussian_levels, self.levels, self._above, left=1.0)


def gaussian_levels(scores: Values, distribution: Distribution) -> Values:
    """Map scores to levels of the Gaussian series."""
    return -ndtri(np.clip(distribution.exceeded(scores), 1e-300, 1 - 1e-16))
