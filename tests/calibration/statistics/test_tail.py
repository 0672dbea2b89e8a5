"""Tails: extrapolated beyond the window, with a limit that holds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from calibration.statistics.tail import Tail, fit_tail

FRAMES, RATE = 10_000, 1e-6

# Quantile functions of the upper tail: the score that is exceeded with this probability.
TAILS = {
    "exponential": lambda share: -np.log(share),
    "normal": lambda share: -ndtri(share),
    "lognormal": lambda share: np.exp(-0.5 * ndtri(share)),
    "Pareto": lambda share: share**-0.25,
}


def fitted(tail: str, *, seed: int = 0, excesses: int = 400, scale: float = 1.0) -> Tail:
    """Fitted to the highest of 10,000 independent scores."""
    shares = np.sort(np.random.default_rng(seed).uniform(size=FRAMES))[: excesses + 1]
    return fit_tail(scale * TAILS[tail](shares), frames=FRAMES, dispersion=1.0)


@pytest.mark.parametrize("tail", TAILS)
def test_level_a_hundred_times_beyond_the_window_is_near_the_true_one(tail: str) -> None:
    """The median of the realised rates is within a factor of three of the requested one, for light and heavy tails."""
    levels = [fitted(tail, seed=seed).level(RATE, quantile=0.5) for seed in range(40)]
    shares = np.geomspace(1e-12, 1e-2, 2000)
    realised = np.exp(np.interp(np.median(levels), TAILS[tail](shares)[::-1], np.log(shares)[::-1]))
    assert RATE / 3 < realised < RATE * 3


@pytest.mark.parametrize("tail", TAILS)
def test_upper_rate_holds_in_most_lines(tail: str) -> None:
    true_level = float(TAILS[tail](np.array(RATE)))
    limits = [fitted(tail, seed=seed).upper_rate(true_level, confidence=0.975) for seed in range(40)]
    assert np.mean(np.array(limits) >= RATE) >= 0.9


def test_level_and_rate_are_inverse() -> None:
    tail = fitted("exponential")
    for quantile in (0.25, 0.5):
        level = tail.level(RATE, quantile=quantile)
        assert tail.rate(level, quantile=quantile) == pytest.approx(RATE, rel=0.02)


def test_level_rises_with_the_quantile() -> None:
    tail = fitted("exponential")
    levels = [tail.level(RATE, quantile=quantile) for quantile in (0.1, 0.25, 0.5, 0.9)]
    assert np.all(np.diff(levels) > 0)


def test_upper_rate_grows_with_the_uncertainty_of_the_dependence() -> None:
    levels = np.sort(np.random.default_rng(1).exponential(size=1000))[::-1][:101]
    sure = fit_tail(levels, frames=1000, dispersion=1.0)
    unsure = fit_tail(levels, frames=1000, dispersion=1.0, most_dispersion=4.0)
    assert unsure.level(RATE) == sure.level(RATE)
    assert unsure.upper_rate(15.0, confidence=0.95) > 1.5 * sure.upper_rate(15.0, confidence=0.95)


def test_tail_follows_the_units_of_the_scores() -> None:
    assert fitted("normal", scale=1e6).level(RATE) == pytest.approx(1e6 * fitted("normal").level(RATE))


@pytest.mark.parametrize("levels", [[2.0, 1.0], [1.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0]])
def test_tail_of_very_few_levels_is_finite(levels: list[float]) -> None:
    tail = fit_tail(np.array(levels), frames=50, dispersion=2.0)
    assert np.isfinite(tail.level(1e-7))
    assert 0 <= tail.upper_rate(tail.level(1e-7), confidence=0.975) < 100
