"""Beyond the window: peaks over threshold.

Excesses over a high level follow a generalised Pareto distribution, whatever the scores' own (Pickands 1975; Balkema
& de Haan 1974; in practice: Coles 2001, chapter 4). Here it is fitted to the levels at which one episode after the
other appears (`EpisodeCounts.highest_levels`), so that clusters count once and the fitted tail is that of the rate of
episodes, the thing that a budget counts.

That theorem speaks of the limit, and a window is not there yet: at the levels it reaches, the shape still moves. For
normal-like tails (normal, gamma, Weibull) it is negative and fades as 1 over the logarithm of the rarity, so that a
generalised Pareto fitted inside the window bends down too fast beyond it and sets thresholds too low; heavy tails have
only begun to show how heavy they are. So the shape is let move as the penultimate approximation has it (Fisher &
Tippett 1928; Smith 1987; Gomes & de Haan 1999):

    shape at rarity v = final shape + bend / (start + v),

v being the logarithm of how many times rarer than the base a level is passed, start that of how rare the base itself
is. Bend 0 is the generalised Pareto; final shape 0 is the Weibull-tail model; a normal tail has bend -1/2. The
quantile function is the double integral of it: the tail's slope at v is scale · (1 + v / start)^bend · e^(shape v).

A window says little about three numbers, and everything far out hangs on them. So their posterior is carried along on a
grid, twice: once with a prior that leans to what scores of networks look like, for the level that is set; once without,
and with all the doubt about the dependence, for the limit that is promised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Values = NDArray[np.float64]

# Final shapes and bends that are looked at. Above 0.4 the scores have no third moment; a bend of -1.2 is the middle of
# a second, smaller mode of good parts, +0.3 is heavier than lognormal scores of any spread bend.
_SHAPES = np.linspace(-0.1, 0.4, 6)
_BENDS = np.linspace(-1.2, 0.3, 6)

# What a level is set by. Scores end like exponential ones mostly, and data may say otherwise: a Cauchy prior of this
# width on the final shape. Bends are those of normal-like tails, give or take: a normal prior.
_SHAPE_PRIOR, _BEND_PRIOR = 0.08, (-0.6, 0.4)

# The promise is given for no lighter tails than these: exponential and normal ones.
_CAUTIOUS_SHAPE, _CAUTIOUS_BEND = 0.0, -0.6

# Scales on either side of the one that explains the mean excess: so many, this many standard errors out, and at most a
# factor of four, outside which the likelihood of five excesses is nil.
_GRID_SCALES, _SCALE_ERRORS, _LOG_SCALE = 9, 4.0, 1.4

# More independent excesses than this do not narrow the posterior: the model is no truer than that.
_MOST_WORTH = 400.0

# So many order statistics, evenly spaced, stand for any larger number.
_MOST_TERMS = 120

# Tails with less than this weight beside the best weigh nothing.
_LEAST_WEIGHT = 1e-3

# Logarithms of how much rarer than the base, at which quantile functions are tabulated: up to a factor of 1e19.
_RARITIES = np.concatenate((np.arange(0, 3, 0.05), np.arange(3, 12, 0.2), np.arange(12, 45, 1.0)))


@dataclass(frozen=True, slots=True)
class Tails:
    """Tails that may be, each with a weight."""

    quantiles: Values
    """Quantile functions at `_RARITIES`, in units of the scale: one for each shape and bend [p, r]."""
    scales: Values
    """Scales that go with each of them, in units of the scores [p, s]."""
    weights: Values
    """Weight of each tail [p, s], summing to 1."""

    def rarities(self, excesses: Values) -> tuple[Values, Values]:
        """How rare each excess [m] is beside the base, as a logarithm, in the tails that weigh: [m, n], weights [n]."""
        parts, weights = [], []
        for quantile, scales, weight in zip(self.quantiles, self.scales, self.weights, strict=True):
            matter = weight > 0
            if matter.any():
                parts.append(np.interp(excesses[:, None] / scales[matter], quantile, _RARITIES))
                weights.append(weight[matter])
        return np.concatenate(parts, axis=1), np.concatenate(weights)


@dataclass(frozen=True, slots=True)
class Belief:
    """Tails, and how much the rate of episodes at the base is known to be."""

    tails: Tails
    worth: float
    """Independent excesses that the others are worth."""
    frames: float
    """Independent frames: `worth` over them is the rate of episodes at the base."""

    def chance(self, rarities: Values, weights: Values, rates: Values) -> Values:
        """Chance that episodes come at these rates [m or m, 1], per frame, or less: [m]; rarities are [m or 1, n]."""
        with np.errstate(over="ignore"):
            at_base = rates * self.frames * np.exp(rarities)
        return np.asarray(_gamma_cdf(at_base, self.worth) @ weights)

    def level(self, rate: float, *, quantile: float, mean: float) -> float:
        """The excess at which the rate is at most `rate` with this chance."""
        excesses = np.concatenate(([0.0], mean * np.geomspace(0.03, 1e4, 30)))
        for _ in range(3):
            likely = self.chance(*self.tails.rarities(excesses), np.array([[rate]]))
            at = max(1, int(np.argmax(likely >= quantile)))
            excesses = np.linspace(excesses[at - 1], excesses[at], 10)
        return float(np.interp(quantile, likely[at - 1 : at + 1], excesses[[0, -1]]))

    def rate(self, excess: float, *, quantile: float) -> float:
        """This quantile of the rate of episodes at an excess, per frame."""
        rarities, weights = self.tails.rarities(np.array([excess]))
        rates = 10 * (self.worth + 1) / self.frames * np.geomspace(1e-14, 1.0, 40)
        for _ in range(3):
            reached = self.chance(rarities, weights, rates[:, None])
            at = max(1, int(np.argmax(reached >= quantile)))
            rates = np.geomspace(rates[at - 1], rates[at], 12)
        return float(rates[-1])


@dataclass(frozen=True, slots=True)
class Tail:
    """The rate of episodes beyond a base level.

    >>> rng = np.random.default_rng(5)
    >>> levels = np.sort(rng.exponential(size=20_000))[::-1][:1001]
    >>> tail = fit_tail(levels, frames=20_000, dispersion=1.0)
    >>> round(tail.level(1e-4), 2)  # the 1 - 1e-4 quantile of Exp(1) is 9.21
    8.72
    """

    base: float
    """Level above which the tail holds."""
    mean_excess: float
    """Mean of the episode levels' excess over it."""
    guess: Belief
    """With the prior: for the level."""
    cautious: Belief
    """Without it, without light tails, and with all the doubt about the dependence: for the promise."""

    def level(self, rate: float, *, quantile: float = 0.5) -> float:
        """Return the level at which the rate of episodes, per frame, is at most `rate` with this chance."""
        return self.base + self.guess.level(rate, quantile=quantile, mean=self.mean_excess)

    def rate(self, level: float, *, quantile: float = 0.5) -> float:
        """Return this quantile of the best guess at the rate of episodes at a level ≥ base, per frame."""
        return self.guess.rate(max(level - self.base, 0.0), quantile=quantile)

    def upper_rate(self, level: float, *, confidence: float) -> float:
        """Return the upper limit on the rate of episodes at a level ≥ base, per frame."""
        return self.cautious.rate(max(level - self.base, 0.0), quantile=confidence)


def fit_tail(levels: Values, *, frames: int, dispersion: float, most_dispersion: float | None = None) -> Tail:
    """Fit the tail to the highest episode levels.

    Args:
        levels: falling [k + 1]; the last one is the base, the k before it are the excesses, k ≥ 1.
        frames: length of the statistic that the levels come from.
        dispersion: variance of the counts over a Poisson's: the likelihood is that of so many times fewer excesses.
        most_dispersion: upper limit on it, for the promise; the same where not given.
    """
    excesses = levels[:-1] - levels[-1]
    mean = max(float(excesses.mean()), 1e-300)
    start = -math.log(min(excesses.size / frames, 0.9))
    doubt = dispersion if most_dispersion is None else most_dispersion
    shapes, bends = (each.ravel() for each in np.meshgrid(_SHAPES, _BENDS, indexing="ij"))
    quantiles = _quantiles(shapes, bends, start)
    prior = -np.log1p((shapes / _SHAPE_PRIOR) ** 2) - 0.5 * ((bends - _BEND_PRIOR[0]) / _BEND_PRIOR[1]) ** 2
    heavy = (shapes >= _CAUTIOUS_SHAPE - 1e-9) & (bends >= _CAUTIOUS_BEND - 1e-9)
    sample = _spaced(excesses / mean)
    beliefs = []
    for spread, priors in ((dispersion, prior), (doubt, np.where(heavy, 0.0, -np.inf))):
        worth = excesses.size / spread
        tails = _posterior(sample, quantiles, shapes, bends, start, min(worth, _MOST_WORTH), priors, mean)
        beliefs.append(Belief(tails, worth, frames / spread))
    return Tail(float(levels[-1]), mean, *beliefs)


def _quantiles(shapes: Values, bends: Values, start: float) -> Values:
    """Integrate the slopes [p] over `_RARITIES`: [p, r]."""
    slopes = np.exp(bends[:, None] * np.log1p(_RARITIES / start) + shapes[:, None] * _RARITIES)
    steps = 0.5 * (slopes[:, 1:] + slopes[:, :-1]) * np.diff(_RARITIES)
    return np.concatenate((np.zeros((shapes.size, 1)), np.cumsum(steps, axis=1)), axis=1)


def _posterior(
    sample: Values,
    quantiles: Values,
    shapes: Values,
    bends: Values,
    start: float,
    worth: float,
    prior: Values,
    mean: float,
) -> Tails:
    """Weigh every tail by how well it explains the sample, in units of its mean."""
    possible = np.isfinite(prior)
    quantiles, shapes, bends, prior = quantiles[possible], shapes[possible], bends[possible], prior[possible]
    reach = min(_LOG_SCALE, _SCALE_ERRORS / math.sqrt(worth))
    around = np.exp(np.linspace(-reach, reach, _GRID_SCALES))
    scales = around / _means(quantiles)[:, None]
    logs = np.empty(scales.shape)
    for at, quantile in enumerate(quantiles):
        rarity = np.interp(sample / scales[at][:, None], quantile, _RARITIES)
        slope = bends[at] * np.log1p(rarity / start) + shapes[at] * rarity
        logs[at] = -(rarity + slope).mean(axis=1) - np.log(scales[at])
    logs = logs * worth + prior[:, None]
    weights = np.exp(logs - logs.max())
    weights[weights < _LEAST_WEIGHT] = 0.0
    return Tails(quantiles, scales * mean, weights / weights.sum())


def _means(quantiles: Values) -> Values:
    """Mean excess of each tail, in units of its scale."""
    weighed = quantiles * np.exp(-_RARITIES)
    return np.asarray((0.5 * (weighed[:, 1:] + weighed[:, :-1]) * np.diff(_RARITIES)).sum(axis=1))


def _spaced(falling: Values) -> Values:
    """Evenly spaced order statistics, at most `_MOST_TERMS` of them."""
    if falling.size <= _MOST_TERMS:
        return falling
    return falling[((np.arange(_MOST_TERMS) + 0.5) / _MOST_TERMS * falling.size).astype(int)]


def _gamma_cdf(values: Values, shape: float) -> Values:
    """Gamma distribution function by Wilson & Hilferty (1931): within 1 % of the exact one, and 20 times faster."""
    cube = np.cbrt(values / shape) - (1 - 1 / (9 * shape))
    return np.asarray(ndtr(3 * math.sqrt(shape) * cube))
