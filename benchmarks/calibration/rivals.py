"""Other methods, whose thresholds are compared with ours on the same lines.

Each takes the rule's statistic over the window, sorted rising, and the allowed alarms per frame; it returns a
threshold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from calibration.statistics.episodes import Values


def mean_and_3_sigma(rising: Values, allowed: float) -> float:
    """Return the control chart limit; it ignores the budget."""
    return float(rising.mean() + 3 * rising.std())


def window_maximum(rising: Values, allowed: float) -> float:
    """Return the highest good frame; it ignores the budget."""
    return float(rising[-1])


def plain_quantile(rising: Values, allowed: float) -> float:
    """Return the conformal quantile for independent frames: the ceil((N + 1)(1 - p))-th smallest, or the highest."""
    rank = int(np.ceil((rising.size + 1) * (1 - allowed)))
    return float(rising[min(rank, rising.size) - 1])


def spot(rising: Values, allowed: float) -> float:
    """Return the level by peaks over threshold as in SPOT (Siffer 2017): 98 % quantile, all excesses, no declustering.

    Fitted by probability-weighted moments (Hosking & Wallis 1987), which for these sample sizes is as good as the
    likelihood of SPOT and a hundred times faster.
    """
    base = float(rising[int(0.98 * rising.size)])
    excesses = rising[np.searchsorted(rising, base, side="right") :] - base
    share = excesses.size / rising.size
    if excesses.size < 4 or allowed >= share:
        return plain_quantile(rising, allowed)
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
