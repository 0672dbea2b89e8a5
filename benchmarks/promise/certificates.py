"""How soon a certificate ripens, beside a method that knows the rate, and how often it is false."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.promise.processes import Positions, clustered, steady
from calibration import worst_rate

# Shares of the promised rate at which lines really run.
RATES = (0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True)
class Ripened:
    """Exposure until certified, in units of the budget, medians and means."""

    rate: float
    median: float
    mean: float
    known_median: float
    """Of a likelihood ratio test between the true rate and the promised one."""
    known_mean: float


def ripening(rate: float, *, lines: int, seed: int) -> Ripened:
    """The exposure that lines at this share of the promised rate need."""
    rng, longest = np.random.default_rng(seed), 150.0 if rate > 0.3 else 60.0
    ours, known = [], []
    for _ in range(lines):
        alarms = steady(rng, rate, longest)
        ours.append(certified_at(alarms, longest))
        known.append(_known_at(alarms, rate, longest))
    return Ripened(rate, float(np.median(ours)), float(np.mean(ours)), float(np.median(known)), float(np.mean(known)))


def certified_at(alarms: Positions, longest: float) -> float:
    """The exposure at which the promise is certified first; `longest` where it is not."""
    for at in np.arange(2.9, longest, 0.05):
        if worst_rate(alarms[: np.searchsorted(alarms, at)], float(at)) <= 1.0:
            return float(at)
    return longest


def _known_at(alarms: Positions, rate: float, longest: float) -> float:
    for at in np.arange(2.9, longest, 0.05):
        count = int(np.searchsorted(alarms, at))
        log_ratio = (1.0 - rate) * at + (count * math.log(rate) if rate > 0 else (0.0 if count == 0 else -math.inf))
        if log_ratio >= math.log(20.0):
            return float(at)
    return longest


def false_certificates(*, lines: int, seed: int) -> Iterator[tuple[str, float]]:
    """Share of lines at exactly the promised rate that are ever certified, looked at before every alarm."""
    rng, longest = np.random.default_rng(seed), 100.0
    for size in (1, 3, 10):
        for before in (0, 3, 6, 12):
            wrong = 0
            for _ in range(lines):
                alarms = clustered(rng, 1.0, longest, size=float(size), length=0.009)
                wrong += _ever_certified(alarms, longest, rng.geometric(1.0 / size, before))
            name = "single alarms" if size == 1 else f"incidents of {size} alarms"
            yield f"{name}, {before} incidents under earlier calibrations", wrong / lines


def _ever_certified(alarms: Positions, longest: float, earlier: NDArray[np.int64]) -> bool:
    ends = np.append(alarms, longest)
    return any(worst_rate(alarms[:count], float(end), earlier=earlier) <= 1.0 for count, end in enumerate(ends))
