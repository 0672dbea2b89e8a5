"""Simulated alarms in units of the budget: positions [N] of alarms that come at a rate, alone or in clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.float64]


def steady(rng: np.random.Generator, rate: float, exposure: float) -> Positions:
    """Independent alarms at `rate` times the promised rate, until `exposure`."""
    return np.sort(rng.uniform(0.0, exposure, rng.poisson(rate * exposure)))


def clustered(rng: np.random.Generator, rate: float, exposure: float, *, size: float, length: float) -> Positions:
    """Incidents of a geometric number of alarms, `size` on average, spread over `length`; `rate` counts alarms."""
    begun = rng.uniform(0.0, exposure, rng.poisson(rate / size * exposure))
    alarms = [start + rng.uniform(0.0, length, rng.geometric(1.0 / size)) for start in begun]
    return np.sort(np.concatenate([np.empty(0), *alarms]))


def rising(rng: np.random.Generator, log_rate: NDArray[np.float64], step: float) -> Positions:
    """Alarms of a changing rate: `log_rate` [n] is the logarithm of its multiple of the promise, one each `step`."""
    counts = rng.poisson(np.exp(log_rate) * step)
    begun = np.repeat(np.arange(log_rate.size) * step, counts)
    return np.sort(begun + rng.uniform(0.0, step, begun.size))
