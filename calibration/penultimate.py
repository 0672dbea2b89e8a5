"""Tails whose shape still moves: the generalised Pareto distribution before its limit.

Excesses over a level follow a generalised Pareto distribution in the limit of ever higher levels. A window is not
there yet: at the levels it reaches, the shape still moves. For normal-like tails (normal, gamma, Weibull) it is
negative and fades as 1 over the logarithm of the rarity, so that a generalised Pareto fitted inside the window bends
down too fast beyond it; heavy tails have only begun to show how heavy they are. The penultimate approximation (Fisher
& Tippett 1928; Gomes & de Haan 1999) lets it move:

    shape at rarity v = final shape + bend / (start + v),

v being the logarithm of how many times rarer than the base an excess is, start that of how rare the base itself is.
Bend 0 is the generalised Pareto; final shape 0 is the Weibull-tail model; a normal tail has bend -1/2. The quantile
function is the double integral: its slope at v is scale · (1 + v / start)^bend · e^(final shape · v).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

# Final shapes and bends that are looked at. Above 0.4 the scores have no third moment; a bend of -1.5 is the middle of
# a second, smaller mode of good parts; +0.3 bends the other way, as lognormal scores of wide spread do.
SHAPES, BENDS = (each.ravel() for each in np.meshgrid(np.linspace(-0.1, 0.4, 6), np.linspace(-1.5, 0.3, 7)))

# Scales on either side of the one that explains the mean excess: so many, this many standard errors out, and at most a
# factor of four, outside which the likelihood of five excesses is nil.
_GRID_SCALES, _SCALE_ERRORS, _LOG_SCALE = 7, 3.5, 1.4

# Tails with less than this weight beside the best weigh nothing.
_LEAST_WEIGHT = 1e-3

# Logarithms of how much rarer than the base, at which slopes are summed: up to a factor of 1e19.
_RARITIES = np.concatenate((np.arange(0, 3, 0.05), np.arange(3, 12, 0.2), np.arange(12, 45, 1.0)))

# Logarithms of an excess over the scale at which rarities are tabulated: linear between them is exact to 1e-3.
_FIRST, _STEP, _ENTRIES = math.log(1e-3), 0.05, 500
_LOGS = _FIRST + _STEP * np.arange(_ENTRIES)


@dataclass(frozen=True, slots=True)
class Family:
    """Every shape and bend above one base."""

    start: float
    """How rare the base is, as a logarithm."""
    tables: Values
    """How rare an excess of e^`_LOGS` scales is beside the base, as a logarithm: a row for each pair [p, g]."""
    log_means: Values
    """Logarithm of the mean excess of each, in units of the scale [p]."""

    @classmethod
    def above(cls, start: float) -> Family:
        """Work them out for a base that is passed once in e^start frames, start > 0."""
        slopes = np.exp(BENDS[:, None] * np.log1p(_RARITIES / start) + SHAPES[:, None] * _RARITIES)
        steps = np.diff(_RARITIES)
        excesses = np.zeros_like(slopes)
        np.cumsum(0.5 * (slopes[:, 1:] + slopes[:, :-1]) * steps, axis=1, out=excesses[:, 1:])
        tables = np.array([np.interp(_LOGS, np.log(row[1:]), _RARITIES[1:]) for row in excesses])
        # Below the first entry the tail is as good as exponential: the rarity is the excess.
        tables[:, _LOGS <= -2.5] = np.exp(_LOGS[_LOGS <= -2.5])
        weighed = excesses * np.exp(-_RARITIES)
        means = (0.5 * (weighed[:, 1:] + weighed[:, :-1]) * steps).sum(axis=1)
        return cls(start, tables, np.log(means))

    def posterior(self, sample: Values, worth: float, log_prior: Values) -> Tails:
        """Weigh every tail by how well it explains a sample of excesses.

        Args:
            sample: excesses [m], with mean 1.
            worth: independent excesses that they are worth.
            log_prior: of each pair of shape and bend [p], -inf where impossible.
        """
        rows = np.flatnonzero(np.isfinite(log_prior))
        reach = min(_LOG_SCALE, _SCALE_ERRORS / math.sqrt(worth))
        log_scales = np.linspace(-reach, reach, _GRID_SCALES) - self.log_means[rows][:, None]
        rows = np.repeat(rows, _GRID_SCALES)
        tails = Tails(self.tables, rows, log_scales.ravel(), np.ones(rows.size))
        rarities = tails.rarities(sample)
        slopes = np.log1p(rarities / self.start).mean(axis=0) * BENDS[rows]
        means = rarities.mean(axis=0)
        logs = -(means + slopes + SHAPES[rows] * means + tails.log_scales) * worth + log_prior[rows]
        weights = np.exp(logs - logs.max())
        kept = weights > _LEAST_WEIGHT
        return Tails(self.tables, rows[kept], tails.log_scales[kept], weights[kept] / weights[kept].sum())


@dataclass(frozen=True, slots=True)
class Tails:
    """Tails that may be, each with a weight; excesses are in units of the sample's mean."""

    tables: Values
    """Of the family [p, g]."""
    rows: NDArray[np.intp]
    """Row of each tail [n]."""
    log_scales: Values
    """Logarithm of each tail's scale [n]."""
    weights: Values
    """Weight of each tail [n], summing to 1."""

    def rarities(self, excesses: Values) -> Values:
        """How many times rarer than the base each excess [m] is in each tail, as a logarithm: float64 [m, n]."""
        logs = np.log(np.maximum(excesses, 1e-300))[:, None] - self.log_scales
        places = np.clip((logs - _FIRST) / _STEP, 0.0, _ENTRIES - 1.001)
        lower = places.astype(np.intp)
        below, above = self.tables[self.rows, lower], self.tables[self.rows, lower + 1]
        return np.asarray(below + (above - below) * (places - lower))
