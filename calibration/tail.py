"""Beyond the window: peaks over threshold.

Excesses over a high level follow a generalised Pareto distribution, whatever the scores' own distribution (Pickands 1975;
Balkema & de Haan 1974; in practice: Coles 2001, chapter 4). Here it is fitted to the levels at which one episode after the
other appears (`EpisodeCounts.highest_levels`), so that clusters count once and the fitted tail is that of the rate of
episodes, the thing that a budget counts.

A small window says little about the tail's shape, and an unlimited guess at it would cost more than it gives: the shape
has a prior and bounds (after Coles & Dixon 1999), and the whole posterior is carried along on a grid instead of one fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

# Bounded below: a tail that ends at once would promise silence. Bounded above: beyond 0.5 the variance is infinite, which
# no latent distance of a finite network has shown. The prior leans to slightly heavier than exponential, where lognormal,
# gamma and Student t (4 degrees) scores lie at the levels that windows reach.
_SHAPES = np.linspace(-0.3, 0.5, 41)
_PRIOR_SHAPE, _PRIOR_SPREAD = 0.1, 0.12

# Scales from a quarter to four times the mean excess: outside it the likelihood of ten excesses is nil.
_LOG_SCALES = np.linspace(-1.4, 1.4, 49)

# Slices of the rate's own uncertainty.
_SLICES = (np.arange(16) + 0.5) / 16


@dataclass(frozen=True, slots=True)
class Tail:
    """The rate of episodes beyond a base level: a posterior over shape, scale and rate, as weighted points.

    >>> rng = np.random.default_rng(5)
    >>> levels = np.sort(rng.exponential(size=1000))[::-1][:101]
    >>> tail = fit_tail(levels, frames=1000, dispersion=1.0)
    >>> round(tail.level(1e-4), 2)  # the 1 - 1e-4 quantile of Exp(1) is 9.21
    9.37
    """

    base: float
    """Level above which the tail holds."""
    excesses: int
    """Episode levels that it was fitted to."""
    shape: float
    """Posterior mean of the generalised Pareto's shape; above 0 is heavier than exponential."""
    scale: float
    """Posterior mean of its scale, in units of the scores."""
    shapes: NDArray[np.float64]
    """Shape of each point [n]."""
    scales: NDArray[np.float64]
    """Scale of each point [n]."""
    weights: NDArray[np.float64]
    """Weight of each point [n], summing to 1."""
    base_rates: NDArray[np.float64]
    """Equally likely rates of episodes at the base, per frame [m]."""

    def rate(self, level: float, *, quantile: float = 0.5) -> float:
        """Return this posterior quantile of the rate of episodes at a level ≥ base, per frame."""
        rates = (self._survival(level)[:, None] * self.base_rates).ravel()
        weights = np.repeat(self.weights / self.base_rates.size, self.base_rates.size)
        order = np.argsort(rates)
        reached = np.searchsorted(np.cumsum(weights[order]), quantile)
        return float(rates[order[min(int(reached), rates.size - 1)]])

    def level(self, rate: float, *, quantile: float = 0.5) -> float:
        """Return the return level: where this quantile of the rate, per frame, has come down to `rate`."""
        low, high = self.base, self.base + self.scale
        while self.rate(high, quantile=quantile) > rate:
            low, high = high, self.base + 2 * (high - self.base)
        for _ in range(40):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.rate(middle, quantile=quantile) > rate else (low, middle)
        return high

    def _survival(self, level: float) -> NDArray[np.float64]:
        return _survival((level - self.base) / self.scales, self.shapes)


def fit_tail(levels: NDArray[np.float64], *, frames: int, dispersion: float) -> Tail:
    """Fit the tail to the highest episode levels.

    Args:
        levels: falling [k + 1]; the last one is the base, the k before it are the excesses, k ≥ 1.
        frames: length of the statistic that the levels come from.
        dispersion: variance of the counts over a Poisson's: the likelihood is that of so many times fewer excesses.
    """
    base, excesses = float(levels[-1]), levels[:-1] - levels[-1]
    many = excesses.size
    mean = max(float(excesses.mean()), abs(base) * 1e-9, 1e-300)
    shapes, scales = (part.ravel() for part in np.meshgrid(_SHAPES, mean * np.exp(_LOG_SCALES), indexing="ij"))
    logs = _log_likelihood(excesses, mean) / dispersion - 0.5 * ((shapes - _PRIOR_SHAPE) / _PRIOR_SPREAD) ** 2
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    kept = weights > 1e-7 * weights.max()
    shapes, scales, weights = shapes[kept], scales[kept], weights[kept] / weights[kept].sum()
    base_rates = gammaincinv(many / dispersion, _SLICES) * dispersion / frames
    return Tail(
        base=base,
        excesses=many,
        shape=float(shapes @ weights),
        scale=float(scales @ weights),
        shapes=shapes,
        scales=scales,
        weights=weights,
        base_rates=base_rates,
    )


def _log_likelihood(excesses: NDArray[np.float64], mean: float) -> NDArray[np.float64]:
    """Log likelihood of the excesses at every point of the grid, flat [shapes x scales]."""
    # 400 order statistics, evenly spaced, stand for any larger number: their sums differ in the fourth digit.
    step = max(1, excesses.size // 400)
    sample = excesses[step // 2 :: step] / mean
    scaled = sample / np.exp(_LOG_SCALES)[:, None]
    rows = []
    for shape in _SHAPES:
        with np.errstate(divide="ignore", invalid="ignore"):
            inside = 1 + shape * scaled
            each = -scaled if abs(shape) < 1e-9 else -(1 + 1 / shape) * np.log(np.maximum(inside, 0.0))
        each = np.where(inside > 0, each, -np.inf)
        rows.append(each.mean(axis=1) * excesses.size - excesses.size * _LOG_SCALES)
    return np.concatenate(rows)


def _survival(scaled: NDArray[np.float64], shapes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Generalised Pareto survival at scaled excesses."""
    flat = np.abs(shapes) < 1e-9
    safe = np.where(flat, 1.0, shapes)
    inside = np.maximum(1 + safe * scaled, 0.0)
    with np.errstate(divide="ignore", over="ignore"):
        curved = np.where(inside > 0, inside ** (-1 / safe), 0.0)
    return np.asarray(np.where(flat, np.exp(-scaled), curved))
