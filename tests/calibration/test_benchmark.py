"""The benchmark: its short cuts do not change the thresholds, and its true rates are right."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration.cells import BUDGETS, LINE_FRAMES_PER_SECOND, mapped, sharpest_certificate
from benchmarks.calibration.lines import DISTRIBUTIONS, LineTruth, gaussian_ar1
from calibration import Budget, Rule, calibrate
from calibration.statistics.exceedances import Exceedances
from calibration.statistics.threshold import threshold_for


@pytest.mark.parametrize("rule", [Rule(k=1, n=1), Rule(k=3, n=5)], ids=str)
@pytest.mark.parametrize("budget", BUDGETS, ids=str)
def test_exceedances_mapped_give_the_threshold_of_calibrate(rule: Rule, budget: Budget) -> None:
    gaussian = gaussian_ar1(np.random.default_rng(5), 0.5, (1, 1_200))[0]
    taken = Exceedances.of(gaussian, rule=rule)
    for distribution in DISTRIBUTIONS:
        scores = distribution.scores(gaussian)
        short = threshold_for(
            mapped(taken, distribution, float(scores.std())), budget=budget, frames_per_second=LINE_FRAMES_PER_SECOND
        )
        long = calibrate(scores, frames_per_second=LINE_FRAMES_PER_SECOND, budget=budget, rule=rule)
        assert short.value == pytest.approx(long.value)
        assert (short.certified, short.episodes) == (long.certified, long.episodes)


def test_truth_of_independent_frames_is_known() -> None:
    """Episodes of single independent frames above a level of rate p have the rate p (1 - p) and a Poisson count."""
    truth = LineTruth(0.0, Rule(k=1, n=1), frames=1_000_000, seed=1)
    assert truth.level(0.01 * 0.99) == pytest.approx(2.326, abs=0.02)
    assert truth.above(np.array([2.326])) == pytest.approx([0.01], rel=0.05)
    assert truth.dispersion(0.001) == pytest.approx(1.0, abs=0.35)


def test_sharpest_certificate_nears_the_budget_in_longer_windows() -> None:
    rates = [sharpest_certificate(frames, 0.001, 1.0) for frames in (2_000, 10_000, 100_000)]
    assert rates[0] is None
    assert 0.0004 < rates[1] < rates[2] < 0.001
    assert sharpest_certificate(100_000, 0.001, 4.0) < rates[2]
