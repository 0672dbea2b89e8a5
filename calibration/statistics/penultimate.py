"""Tails whose shape still changes: the generalised Pareto distribution before its limit.

Excesses over a level follow a generalised Pareto distribution in the limit of ever higher levels. At the levels that a
window reaches, the shape still changes. For normal-like tails (normal, gamma, Weibull) it is negative and fades as 1
over the logarithm of the rarity, so a generalised Pareto fitted inside the window falls off too fast beyond it; heavy
tails only begin to show how heavy they are. The penultimate approximation (Fisher & Tippett 1928; Gomes & de Haan 1999)
lets the shape change:

    shape at rarity v = final shape + bend / (start + v),

where v is the logarithm of how many times rarer than the base an excess is, and start that of how rare the base is.
Bend 0 is the generalised Pareto; final shape 0 is the Weibull-tail model; a normal tail has bend -1/2. The quantile
function is the double integral: its slope at v is scale · (1 + v / start)^bend · e^(final shape · v).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.statistics.episodes import Values

# Grid of final shapes and bends. Above 0.4 the scores have no third moment; a bend of -1.5 is the middle of a second,
# smaller mode of good parts; +0.3 bends the other way, as lognormal scores of wide spread do.
SHAPES, BENDS = (each.ravel() for each in np.meshgrid(np.linspace(-0.1, 0.4, 6), np.linspace(-1.5, 0.3, 7)))

# Grid of scales around the one that explains the mean excess: how many, over how many standard errors, and the largest
# logarithm, a factor of four, beyond which the likelihood of five excesses is negligible.
_GRID_SCALES, _SCALE_ERRORS, _LOG_SCALE = 7, 3.5, 1.4

# Tails with less than this weight relative to the best are dropped.
_LEAST_WEIGHT = 1e-3

# Rarities, as logarithms, at which slopes are summed: up to a factor of 1e19.
_RARITIES = np.concatenate((np.arange(0, 3, 0.05), np.arange(3, 12, 0.2), np.arange(12, 45, 1.0)))

# Logarithms of excess over scale at which rarities are tabulated: linear interpolation is exact to 1e-3.
_FIRST, _STEP, _ENTRIES = math.log(1e-3), 0.05, 500
_LOGS = _FIRST + _STEP * np.arange(_ENTRIES)


@dataclass(frozen=True, slots=True)
class Family:
    """The tails of every shape and bend above one base."""

    start: float
    """Rarity of the base, as a logarithm."""
    tables: Values
    """Logarithm of how much rarer than the base an excess of e^`_LOGS` scales is: a row per shape and bend [p, g]."""
    log_means: Values
    """Logarithm of the mean excess of each pair, in units of the scale [p]."""

    @classmethod
    def above(cls, start: float) -> Family:
        """Tabulate the family for a base that is exceeded once in e^start frames, start > 0."""
        slopes = np.exp(BENDS[:, None] * np.log1p(_RARITIES / start) + SHAPES[:, None] * _RARITIES)
        steps = np.diff(_RARITIES)
        excesses = np.zeros_like(slopes)
        np.cumsum(0.5 * (slopes[:, 1:] + slopes[:, :-1]) * steps, axis=1, out=excesses[:, 1:])
        tables = np.array([np.interp(_LOGS, np.log(row[1:]), _RARITIES[1:]) for row in excesses])
        # Near the base every tail is practically exponential: the rarity equals the excess.
        tables[:, _LOGS <= -2.5] = np.exp(_LOGS[_LOGS <= -2.5])
        weighed = excesses * np.exp(-_RARITIES)
        means = (0.5 * (weighed[:, 1:] + weighed[:, :-1]) * steps).sum(axis=1)
        return cls(start, tables, np.log(means))

    def posterior(self, sample: Values, worth: float, log_prior: Values) -> Tails:
        """Weight every tail by how well it explains a sample of excesses.

        Args:
            sample: excesses [m], with mean 1.
            worth: number of independent excesses that they equal.
            log_prior: of each pair of shape and bend [p], -inf if impossible.
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
    """Possible tails with their weights; excesses are in units of the sample's mean."""

    tables: Values
    """Those of the family [p, g]."""
    rows: NDArray[np.intp]
    """Row of each tail in the tables [n]."""
    log_scales: Values
    """Logarithm of each tail's scale [n]."""
    weights: Values
    """Weight of each tail [n], summing to 1."""

    def rarities(self, excesses: Values) -> Values:
        """Return how many times rarer than the base each excess [m] is in each tail, as a logarithm: float64 [m, n]."""
        logs = np.log(np.maximum(excesses, 1e-300))[:, None] - self.log_scales
        places = np.clip((logs - _FIRST) / _STEP, 0.0, _ENTRIES - 1.001)
        lower = places.astype(np.intp)
        below, above = self.tables[self.rows, lower], self.tables[self.rows, lower + 1]
        return np.asarray(below + (above - below) * (places - lower))
