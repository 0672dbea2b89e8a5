"""Beyond the window: peaks over threshold.

Excesses over a high level follow a generalised Pareto distribution, whatever the scores' own (Pickands 1975; Balkema
& de Haan 1974; in practice: Coles 2001, chapter 4). Here it is fitted to the levels at which one episode after the
other appears (`EpisodeCounts.highest_levels`), so that clusters count once and the fitted tail is that of the rate of
episodes, the thing that a budget counts.

A small window says little about the tail's shape, and everything far out hangs on it. So the posterior over shape and
scale is carried along on a grid, twice: once with a prior that leans to exponential tails (after Coles & Dixon 1999),
for the best guess; once without one, for the limit that is promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Values = NDArray[np.float64]

# Bounded below: a tail that ends at once would promise silence. Bounded above: beyond 0.5 the variance is infinite,
# which no latent distance of a finite network has shown.
_LEAST_SHAPE, _MOST_SHAPE = -0.3, 0.5

# The promise is given for no lighter tail than this: normal tails bend down near the window and straighten out beyond
# it.
_LEAST_CAUTIOUS_SHAPE = -0.1

# Over the levels that windows reach, gamma, Weibull and normal scores bend like -0.1 to 0, lognormal and Student t
# (4 degrees) ones like 0.1 to 0.25.
_PRIOR_SHAPE, _PRIOR_SPREAD = -0.05, 0.1

# Scales from 0.25 to 4 times the mean excess: outside it the likelihood of five excesses is nil.
_LOG_SCALE = 1.4

_GRID_SHAPES, _GRID_SCALES = 13, 15

# Points this far below the best in log likelihood weigh nothing.
_DEPTH = 6.0

# So many order statistics, evenly spaced, stand for any larger number.
_MOST_TERMS = 500


@dataclass(frozen=True, slots=True)
class Posterior:
    """Generalised Pareto tails, weighted by how well they explain the excesses."""

    shapes: Values
    """Shape of each tail [n]; above 0 is heavier than exponential."""
    scales: Values
    """Scale of each tail [n], in units of the scores."""
    weights: Values
    """Weight of each tail [n], summing to 1."""

    def survival(self, excesses: Values) -> Values:
        """Share of the tail beyond each excess [m]: float64 [m, n]."""
        inside = np.maximum(1 + self.shapes * excesses[:, None] / self.scales, 0.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.exp(-np.log(inside) / self.shapes))


@dataclass(frozen=True, slots=True)
class Tail:
    """The rate of episodes beyond a base level.

    >>> rng = np.random.default_rng(5)
    >>> levels = np.sort(rng.exponential(size=20_000))[::-1][:1001]
    >>> tail = fit_tail(levels, frames=20_000, dispersion=1.0)
    >>> round(tail.level(1e-4), 2)  # the 1 - 1e-4 quantile of Exp(1) is 9.21
    8.95
    """

    base: float
    """Level above which the tail holds."""
    excesses: int
    """Episode levels that it was fitted to."""
    guess: Posterior
    """With the prior on the shape: for the best guess."""
    cautious: Posterior
    """Without it, and without light tails: for the limit."""
    effective_excesses: float
    """Independent excesses that the others are worth."""
    effective_frames: float
    """Frames over dispersion: effective_excesses over it is the rate of episodes at the base."""

    @property
    def shape(self) -> float:
        """Best guess at the generalised Pareto's shape."""
        return float(self.guess.shapes @ self.guess.weights)

    @property
    def scale(self) -> float:
        """Best guess at its scale, in units of the scores."""
        return float(self.guess.scales @ self.guess.weights)

    def level(self, rate: float) -> float:
        """Return the return level: where the rate, per frame, is as likely below `rate` as above."""
        excesses = np.concatenate(([0.0], self.scale * np.geomspace(0.03, 1e5, 40)))
        for _ in range(2):
            likely = self._chance(self.guess, self.guess.survival(excesses), np.array([[rate]]))
            at = max(1, int(np.argmax(likely >= 0.5)))
            excesses = np.linspace(excesses[at - 1], excesses[at], 13)
        return self.base + float(np.interp(0.5, likely[at - 1 : at + 1], excesses[[0, -1]]))

    def rate(self, level: float, *, quantile: float = 0.5) -> float:
        """Return this quantile of the best guess at the rate of episodes at a level ≥ base, per frame."""
        return self._rate(self.guess, level, quantile)

    def upper_rate(self, level: float, *, confidence: float) -> float:
        """Return the upper limit on the rate of episodes at a level ≥ base, per frame."""
        return self._rate(self.cautious, level, confidence)

    def _rate(self, posterior: Posterior, level: float, quantile: float) -> float:
        survival = posterior.survival(np.array([max(level - self.base, 0.0)]))
        highest = 10 * (self.effective_excesses + 1) / self.effective_frames
        rates = highest * np.geomspace(1e-14, 1.0, 57)
        for _ in range(2):
            reached = self._chance(posterior, survival, rates[:, None])
            at = max(1, int(np.argmax(reached >= quantile)))
            rates = np.geomspace(rates[at - 1], rates[at], 15)
        return float(rates[-1])

    def _chance(self, posterior: Posterior, survival: Values, rates: Values) -> Values:
        """Chance that episodes come at these rates, per frame, or less: [m]; survival is [m or 1, n]."""
        with np.errstate(divide="ignore", over="ignore"):
            at_base = rates * self.effective_frames / survival
        return np.asarray(_gamma_cdf(at_base, self.effective_excesses) @ posterior.weights)


def fit_tail(levels: Values, *, frames: int, dispersion: float) -> Tail:
    """Fit the tail to the highest episode levels.

    Args:
        levels: falling [k + 1]; the last one is the base, the k before it are the excesses, k ≥ 1.
        frames: length of the statistic that the levels come from.
        dispersion: variance of the counts over a Poisson's: the likelihood is that of so many times fewer excesses.
    """
    base, excesses = float(levels[-1]), levels[:-1] - levels[-1]
    worth = excesses.size / dispersion
    return Tail(
        base=base,
        excesses=excesses.size,
        guess=_posterior(excesses, worth, least_shape=_LEAST_SHAPE, spread=_PRIOR_SPREAD),
        cautious=_posterior(excesses, worth, least_shape=_LEAST_CAUTIOUS_SHAPE, spread=math.inf),
        effective_excesses=worth,
        effective_frames=frames / dispersion,
    )


def _posterior(excesses: Values, worth: float, *, least_shape: float, spread: float) -> Posterior:
    """Weigh the tails that matter: a coarse grid first, then finer ones around the best."""
    mean = max(float(excesses.mean()), 1e-300)
    sample = excesses[:: max(1, excesses.size // _MOST_TERMS)] / mean
    shapes = np.linspace(least_shape, _MOST_SHAPE, _GRID_SHAPES)
    log_scales = np.linspace(-_LOG_SCALE, _LOG_SCALE, _GRID_SCALES)
    for last in (False, False, True):
        logs = _log_likelihood(sample, shapes, np.exp(log_scales)) * worth
        logs -= 0.5 * ((shapes[:, None] - _PRIOR_SHAPE) / spread) ** 2
        matter = logs > logs.max() - (_DEPTH if last else 2 * _DEPTH)
        if not last:
            shapes = _zoomed(shapes, matter.any(axis=1))
            log_scales = _zoomed(log_scales, matter.any(axis=0))
    rows, columns = np.nonzero(matter)
    weights = np.exp(logs[matter] - logs.max())
    return Posterior(_off_zero(shapes)[rows], np.exp(log_scales)[columns] * mean, weights / weights.sum())


def _zoomed(grid: Values, matter: NDArray[np.bool_]) -> Values:
    """As many values, from one step before the first that matters to one step after the last."""
    first, last = int(np.argmax(matter)), grid.size - 1 - int(np.argmax(matter[::-1]))
    return np.linspace(grid[max(first - 1, 0)], grid[min(last + 1, grid.size - 1)], grid.size)


def _log_likelihood(sample: Values, shapes: Values, scales: Values) -> Values:
    """Mean log likelihood of the excesses [n] at every shape and scale: float64 [shapes, scales]."""
    shape = _off_zero(shapes)[:, None, None]
    inside = 1 + shape * sample / scales[:, None]
    possible = (inside > 0).all(axis=2)
    mean_logs = np.log(np.maximum(inside, 1e-300)).mean(axis=2)
    return np.asarray(np.where(possible, -(1 + 1 / shape[:, :, 0]) * mean_logs - np.log(scales), -np.inf))


def _off_zero(shapes: Values) -> Values:
    """Shape 0, the exponential tail, as the limit that it is."""
    return np.asarray(np.where(np.abs(shapes) < 1e-6, 1e-6, shapes))


def _gamma_cdf(values: Values, shape: float) -> Values:
    """Gamma distribution function by Wilson & Hilferty (1931): within 1 % of the exact one, and 20 times faster."""
    cube = np.cbrt(values / shape) - (1 - 1 / (9 * shape))
    return np.asarray(ndtr(3 * math.sqrt(shape) * cube))
