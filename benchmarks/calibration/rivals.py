"""What others do: the thresholds that stand beside ours on the same lines.

Each takes the rule's statistic over the window and the allowed alarms per frame, and gives a threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def mean_and_3_sigma(statistic: Values, allowed: float) -> float:
    """Control chart limits; the budget plays no part."""
    return float(statistic.mean() + 3 * statistic.std())


def window_maximum(statistic: Values, allowed: float) -> float:
    """The highest good frame; the budget plays no part."""
    return float(statistic.max())


def plain_quantile(statistic: Values, allowed: float) -> float:
    """The conformal quantile as if frames were independent: the ceil((N + 1)(1 - p))-th smallest, or the highest."""
    rank = int(np.ceil((statistic.size + 1) * (1 - allowed)))
    return float(np.partition(statistic, min(rank, statistic.size) - 1)[min(rank, statistic.size) - 1])


def spot(statistic: Values, allowed: float) -> float:
    """Peaks over threshold as SPOT sets it up (Siffer 2017): 98 % quantile, every excess, no declustering.

    Fitted by probability-weighted moments (Hosking & Wallis 1987), which for these sample sizes is as good as SPOT's
    likelihood and a hundred times faster.
    """
    base = float(np.quantile(statistic, 0.98))
    excesses = np.sort(statistic[statistic > base] - base)
    share = excesses.size / statistic.size
    if excesses.size < 4 or allowed >= share:
        return float(np.quantile(statistic, 1 - min(allowed, 1.0)))
    plotting = (np.arange(1, excesses.size + 1) - 0.35) / excesses.size
    first, second = float(excesses.mean()), float((excesses * (1 - plotting)).mean())
    shape = 2 - first / (first - 2 * second)
    scale = 2 * first * second / (first - 2 * second)
    ratio = allowed / share
    return base + (scale / shape * (ratio**-shape - 1) if abs(shape) > 1e-9 else -scale * np.log(ratio))


RIVALS: dict[str, Callable[[Values, float], float]] = {
    "mean + 3 sigma": mean_and_3_sigma,
    "window maximum": window_maximum,
    "plain quantile": plain_quantile,
    "SPOT-like": spot,
}
