"""Tails before their limit: the family contains the generalised Pareto and follows a normal tail."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from calibration.statistics.penultimate import BENDS, SHAPES, Family


def test_family_without_bend_is_the_generalised_pareto() -> None:
    at = int(np.argmin(np.abs(SHAPES - 0.2) + np.abs(BENDS)))
    assert (SHAPES[at], BENDS[at]) == pytest.approx((0.2, 0.0), abs=1e-9)
    family = Family.above(2.5)
    prior = np.where(np.arange(SHAPES.size) == at, 0.0, -np.inf)
    tails = family.posterior(np.ones(3), 1e6, prior)
    # Of the scales, the one that gives a mean excess of 1: scale = 1 - shape.
    excesses = np.array([0.5, 1.0, 3.0, 10.0])
    expected = np.log1p(0.2 * excesses / 0.8) / 0.2
    nearest = int(np.argmin(np.abs(tails.log_scales - np.log(0.8))))
    assert tails.rarities(excesses)[:, nearest] == pytest.approx(expected, rel=0.01)


def test_family_with_the_bend_of_a_normal_tail_follows_it() -> None:
    """The normal quantile has a bend of -0.6 in the logarithm of the rarity, within 5 % from 1 in 20 to 1e-9."""
    at = int(np.argmin(np.abs(SHAPES) + np.abs(BENDS + 0.6)))
    start = -np.log(0.05)
    shares = np.array([0.01, 1e-3, 1e-5, 1e-9])
    excesses = -ndtri(shares) + ndtri(0.05)
    family = Family.above(start)
    prior = np.where(np.arange(SHAPES.size) == at, 0.0, -np.inf)
    mean = float((-ndtri((np.arange(10_000) + 0.5) / 10_000 * 0.05)).mean() + ndtri(0.05))
    tails = family.posterior(np.ones(3), 1e6, prior)
    middle = tails.rarities(excesses / mean)[:, tails.weights.size // 2]
    assert middle == pytest.approx(-np.log(shares) - start, rel=0.06)
