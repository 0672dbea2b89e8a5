"""Beyond the window: peaks over threshold.

Excesses over a high level follow a generalised Pareto distribution, whatever the distribution of the scores (Pickands
1975; Balkema & de Haan 1974; in practice: Coles 2001, chapter 4). Here it is fitted to the levels at which one episode
after the other appears (`EpisodeCounts.highest_levels`), so clusters count once, and the fitted tail is that of the
episode rate, in which budgets are given.

The theorem is about the limit, which a window does not reach, so the shape may still change
(`calibration.statistics.penultimate`).

A window determines three parameters poorly, and rates far out depend on all of them. So their posterior is kept on a
grid, twice: once with a prior for typical scores of networks, to set the level; once without that prior and with the
full uncertainty of the dependence, for the promised limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from calibration.statistics.episodes import Values
from calibration.statistics.penultimate import BENDS, SHAPES, Family, Tails

# Prior for the level. Most scores have an exponential tail, but data may contradict that: a Cauchy prior of this width
# on the final shape. Bends are about those of normal-like tails or of a second mode: a normal prior.
_SHAPE_PRIOR, _BEND_PRIOR = 0.08, (-0.8, 0.6)

# The promise assumes no lighter tails than these: exponential and normal ones.
_CAUTIOUS_SHAPE, _CAUTIOUS_BEND = 0.0, -0.6

# More independent excesses than this do not narrow the posterior, since the model is no more exact. The promise trusts
# it less. With 400 there too, promises from 10,000 frames at correlation 0.5 were kept in 75 % of Student t (5 degrees)
# and in 85 % of Burr lines; with 150 in 95 % or more, at the cost of promises higher by 60 %.
_MOST_WORTH, _CAUTIOUS_WORTH = 400.0, 150.0

# The best guess of a rate is this quantile of the rates that the window allows; the level for a budget is the one at
# which it meets the budget. The possible rates are skewed: with the median, the false alarms of many lines add up to
# more than their budgets. Realised rate over the best guess, for 1 per 1000 from 100, 300 and 1,000 frames, as
# median/mean of 50 windows. With the median: digits 1.4/3.4, 1.4/1.8, 1.1/1.3; gamma 2.0/3.0, 1.4/2.1, 1.3/1.5; Student
# t (4 degrees) 2.4/5.3, 2.1/2.6, 1.4/1.5. With this quantile: 0.7/1.9, 0.9/1.0, 0.9/0.9; 0.8/1.5, 0.8/1.3, 0.8/1.1;
# 1.4/3.5, 1.4/1.8, 1.0/1.2. (The mean of the possible rates does the same from 300 frames on; from 100 it follows the
# heaviest tails alone, and the levels are far too high.)
BEST_GUESS = 0.7

# First, coarse grids for levels and rates, in units of the mean excess and of the highest rate.
_EXCESSES = np.concatenate(([0.0], np.geomspace(0.03, 1e4, 30)))
_RATES = np.geomspace(1e-14, 1.0, 40)

# More order statistics than this are represented by so many evenly spaced ones.
_MOST_TERMS = 120


@dataclass(frozen=True, slots=True)
class TailPosterior:
    """Weighted tails, and the uncertain rate of episodes at the base."""

    tails: Tails
    worth: float
    """Number of independent excesses that the dependent ones equal."""
    frames: float
    """Number of independent frames: `worth` over `frames` is the rate of episodes at the base."""
    more: float = 0.0
    """Excesses possibly missed by chance: 1 for an upper limit, as for a Poisson count (Garwood 1936)."""

    def chance(self, rarities: Values, rates: Values) -> Values:
        """Return the probability of at most these rates [m or m, 1], per frame: [m]; rarities are [m or 1, n]."""
        with np.errstate(over="ignore"):
            at_base = rates * self.frames * np.exp(rarities)
        return np.asarray(_gamma_cdf(at_base, self.worth + self.more) @ self.tails.weights)

    def excess(self, rate: float, *, quantile: float) -> float:
        """Return the excess, in units of the mean, at which the rate is at most `rate` with this probability."""
        excesses = _EXCESSES
        for _ in range(3):
            likely = self.chance(self.tails.rarities(excesses), np.array([[rate]]))
            at = max(1, int(np.argmax(likely >= quantile)))
            excesses = np.linspace(excesses[at - 1], excesses[at], 10)
        return float(np.interp(quantile, likely[at - 1 : at + 1], excesses[[0, -1]]))

    def rate(self, excess: float, *, quantile: float) -> float:
        """Return this quantile of the episode rate, per frame, at an excess in units of the mean."""
        rarities = self.tails.rarities(np.array([excess]))
        rates = 10 * (self.worth + 1) / self.frames * _RATES
        for _ in range(3):
            reached = self.chance(rarities, rates[:, None])
            at = max(1, int(np.argmax(reached >= quantile)))
            rates = np.geomspace(rates[at - 1], rates[at], 12)
        return float(rates[-1])


@dataclass(frozen=True, slots=True)
class Tail:
    """The episode rate beyond a base level.

    >>> rng = np.random.default_rng(5)
    >>> levels = np.sort(rng.exponential(size=20_000))[::-1][:1001]
    >>> tail = fit_tail(levels, frames=20_000, dispersion=1.0)
    >>> round(tail.level(1e-4), 2)  # the 1 - 1e-4 quantile of Exp(1) is 9.21
    9.09
    """

    base: float
    """Level above which the tail is fitted."""
    mean_excess: float
    """Mean excess of the episode levels over the base."""
    estimate: TailPosterior
    """With the prior, for the level."""
    cautious: TailPosterior
    """Without the prior, without light tails and with the full uncertainty of the dependence, for the promise."""

    def level(self, rate: float, *, quantile: float = BEST_GUESS) -> float:
        """Return the level at which the episode rate, per frame, is at most `rate` with this probability."""
        return self.base + self.mean_excess * self.estimate.excess(rate, quantile=quantile)

    def rate(self, level: float, *, quantile: float = BEST_GUESS) -> float:
        """Return this quantile of the estimated episode rate at a level ≥ base, per frame."""
        return self.estimate.rate(self._excess(level), quantile=quantile)

    def upper_rate(self, level: float, *, confidence: float) -> float:
        """Return the upper limit on the episode rate at a level ≥ base, per frame."""
        return self.cautious.rate(self._excess(level), quantile=confidence)

    def _excess(self, level: float) -> float:
        return max(level - self.base, 0.0) / self.mean_excess


def fit_tail(levels: Values, *, frames: int, dispersion: float, most_dispersion: float | None = None) -> Tail:
    """Fit the tail to the highest episode levels.

    Args:
        levels: falling [k + 1]; the last is the base, the k before it exceed it, k ≥ 1.
        frames: length of the statistic that the levels come from.
        dispersion: variance of the counts over a Poisson's: the likelihood is that of so many times fewer excesses.
        most_dispersion: upper limit on it, for the promise; `dispersion` by default.
    """
    excesses = levels[:-1] - levels[-1]
    mean = max(float(excesses.mean()), 1e-300)
    start = -math.log(min(excesses.size / frames, 0.9))
    doubt = dispersion if most_dispersion is None else most_dispersion
    family, sample = Family.above(start), _spaced(excesses / mean)
    worth, doubted = excesses.size / dispersion, excesses.size / doubt
    likely = family.posterior(sample, min(worth, _MOST_WORTH), _log_prior())
    possible = family.posterior(sample, min(doubted, _CAUTIOUS_WORTH), _cautious_log_prior())
    estimate = TailPosterior(likely, worth, frames / dispersion)
    return Tail(float(levels[-1]), mean, estimate, TailPosterior(possible, doubted, frames / doubt, more=1.0))


def _log_prior() -> Values:
    """Return the log prior of each shape and bend, for the estimate."""
    middle, width = _BEND_PRIOR
    return np.asarray(-np.log1p((SHAPES / _SHAPE_PRIOR) ** 2) - 0.5 * ((BENDS - middle) / width) ** 2)


def _cautious_log_prior() -> Values:
    """Return the log prior of each shape and bend, for the promise: flat, without the lighter tails."""
    heavy = (SHAPES >= _CAUTIOUS_SHAPE - 1e-9) & (BENDS >= _CAUTIOUS_BEND - 1e-9)
    return np.asarray(np.where(heavy, 0.0, -np.inf))


def _spaced(falling: Values) -> Values:
    """Return evenly spaced order statistics, at most `_MOST_TERMS` of them."""
    if falling.size <= _MOST_TERMS:
        return falling
    places = ((np.arange(_MOST_TERMS) + 0.5) / _MOST_TERMS * falling.size).astype(int)
    return np.asarray(falling[places])


def _gamma_cdf(values: Values, shape: float) -> Values:
    """Return the gamma distribution function by Wilson & Hilferty (1931): within 1 % of exact, 20 times faster."""
    cube = np.cbrt(values / shape) - (1 - 1 / (9 * shape))
    return np.asarray(ndtr(3 * math.sqrt(shape) * cube))
