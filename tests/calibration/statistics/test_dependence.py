"""Dependence: the effective sample size and the dispersion of a window."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.statistics.dependence import Dispersion, autocorrelation_time, dispersion
from calibration.statistics.episodes import EpisodeCounts
from tests.calibration.lines import gaussian, scores


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 0.98])
def test_autocorrelation_time_of_ar1_is_known(correlation: float) -> None:
    times = [autocorrelation_time(gaussian(50_000, correlation=correlation, seed=seed)) for seed in range(5)]
    assert np.median(times) == pytest.approx((1 + correlation) / (1 - correlation), rel=0.15)


def test_autocorrelation_time_does_not_depend_on_the_distribution() -> None:
    series = gaussian(5_000, correlation=0.9)
    assert autocorrelation_time(np.exp(3 * series)) == pytest.approx(autocorrelation_time(series))


def test_autocorrelation_time_of_constant_or_tiny_input_is_the_whole_window() -> None:
    assert autocorrelation_time(np.ones(100)) == 100
    assert autocorrelation_time([1.0, 2.0]) == 2


@pytest.mark.parametrize(("correlation", "low", "high"), [(0.0, 1.0, 1.3), (0.98, 3.0, 7.0)])
def test_dispersion_grows_with_dependence(correlation: float, low: float, high: float) -> None:
    """Its largest value at correlation 0.98 is 4.2, measured on four million frames."""
    series = scores(100_000, correlation=correlation)
    found = dispersion(
        series, EpisodeCounts(series), autocorrelation_time=autocorrelation_time(series), confidence=0.975
    )
    assert low <= found.estimate <= high
    assert found.upper > found.estimate


def test_dispersion_of_a_window_of_few_blocks_has_no_limit() -> None:
    series = scores(500, correlation=0.98)
    found = dispersion(series, EpisodeCounts(series), autocorrelation_time=99.0, confidence=0.975)
    assert found.upper == np.inf
    assert found.blocks < 8


def test_dispersion_after_few_blocks_is_uncertain() -> None:
    few = Dispersion(estimate=2.0, upper=8.0, blocks=10, block_frames=100).likely(25)
    many = Dispersion(estimate=2.0, upper=2.5, blocks=200, block_frames=100).likely(25)
    assert few.min() >= 1.0
    assert few.max() > 4.0
    assert many.max() < 2.6
    assert np.median(many) == pytest.approx(2.0, rel=0.01)
