"""How soon the watch speaks when the promise is broken, and how often it speaks in vain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.promise.processes import Positions, clustered, steady
from calibration import find_broken_promise

RATES = (3, 10, 30, 150)
BEFORE = (0, 3, 100)
"""Exposure at the promised rate before it rises."""


@dataclass(frozen=True)
class Delay:
    """Alarms from the change until the watch spoke."""

    rate: int
    before: int
    median: float
    nine_of_ten: float
    stated: float
    """Median of the rate that it stated."""


def delay(rate: int, before: int, *, lines: int, seed: int) -> Delay:
    """Lines that keep their promise for `before`, then alarm at `rate` times the promised rate."""
    rng, counts, stated = np.random.default_rng(seed), [], []
    for _ in range(lines):
        kept = steady(rng, 1.0, float(before))
        broken = before + np.cumsum(rng.exponential(1.0 / rate, size=200))
        found = find_broken_promise(np.concatenate([kept, broken]))
        if found is not None and found.shown_by < kept.size:
            # In vain, before the change; these are counted by `spoken_in_vain`.
            continue
        counts.append(np.inf if found is None else found.shown_by + 1 - kept.size)
        stated.append(0.0 if found is None else found.rate)
    return Delay(rate, before, float(np.median(counts)), float(np.quantile(counts, 0.9)), float(np.median(stated)))


def spoken_in_vain(*, lines: int, seed: int) -> Iterator[tuple[str, float]]:
    """Share of lives of 300 units of the budget, at exactly the promised rate, in which the watch speaks."""
    rng, longest = np.random.default_rng(seed), 300.0
    kinds = {
        "single alarms": lambda: steady(rng, 1.0, longest),
        "incidents of 3 alarms within 0.009": lambda: clustered(rng, 1.0, longest, size=3.0, length=0.009),
        "incidents of 10 alarms within 0.009": lambda: clustered(rng, 1.0, longest, size=10.0, length=0.009),
        "incidents of 10 alarms within 0.03 (longer than assumed)": lambda: clustered(
            rng, 1.0, longest, size=10.0, length=0.03
        ),
    }
    for name, line in kinds.items():
        yield name, sum(_speaks(line()) for _ in range(lines)) / lines


def _speaks(alarms: Positions) -> bool:
    return find_broken_promise(alarms) is not None
