"""Limits on the rate of episodes from the counts of a window, for any distribution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import chdtri, gammainc
from scipy.stats import binom

from calibration import Rule
from calibration.statistics.dependence import Dispersion
from calibration.statistics.exceedances import Exceedances
from tests.calibration.lines import scores


def measured(*, blocks: int = 200, estimate: float = 1.0, confidence: float = 0.95) -> Exceedances:
    """Return those of 10,000 frames with the given dispersion."""
    taken = Exceedances.of(scores(10_000), rule=Rule(k=1, n=1), confidence=confidence)
    return replace(taken, dispersion=Dispersion(estimate=estimate, upper=2 * estimate, blocks=blocks, block_frames=50))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("blocks", [10, 200])
def test_upper_rate_is_averaged_over_the_uncertain_dispersion(confidence: float, blocks: int) -> None:
    """Within 3 % of an integral of 100,000 steps, wrong with three fifths of the allowed chance."""
    taken = measured(blocks=blocks, estimate=2.0, confidence=confidence)
    level = taken.counts.highest_levels(21)[20]
    episodes, rate = taken.counts.at(level), taken.upper_rate_at(level)
    shares = (np.arange(100_000) + 0.5) / 100_000
    dispersions = np.maximum(2.0 * (blocks - 1) / chdtri(blocks - 1, shares), 1.0)
    chances = [
        gammainc(episodes / dispersions + 1, factor * rate * 10_000 / dispersions).mean() for factor in (0.97, 1.03)
    ]
    assert chances[0] < 1 - 0.6 * (1 - confidence) < chances[1]


def test_upper_rate_of_fewer_blocks_is_higher() -> None:
    level = measured().counts.highest_levels(21)[20]
    many, few = measured(blocks=200, estimate=3.0), measured(blocks=10, estimate=3.0)
    assert few.upper_rate_at(level) > 1.1 * many.upper_rate_at(level)
    assert measured(blocks=7).upper_rate_at(level) == np.inf


def test_lowest_certified_level_keeps_the_budget_and_the_next_one_does_not() -> None:
    taken = measured(estimate=1.5)
    level = taken.lowest_certified(0.01)
    assert level is not None
    assert taken.upper_rate_at(level) <= 0.01
    assert taken.upper_rate_at(np.nextafter(level, -np.inf)) > 0.01


def independent(frames: int) -> Exceedances:
    """Those of parts that are independent."""
    taken = Exceedances.of(scores(frames), rule=Rule(k=1, n=1), parts=True)
    assert taken.independent
    return taken


@pytest.mark.parametrize(("above", "spare"), [(0, 5), (2, 3), (3, 4)])
def test_upper_rate_where_more_would_have_been_rejected_is_that_of_windows_that_passed(above: int, spare: int) -> None:
    taken = independent(100)
    level = taken.counts.highest_levels(above + 1)[above]
    rate = taken.upper_rate_at(level, spare=spare)
    assert taken.counts.at(level) == above
    assert binom.cdf(above, 100, rate) / binom.cdf(above + spare, 100, rate) == pytest.approx(0.05, rel=1e-6)


def test_upper_rate_where_hardly_more_are_allowed_leaves_lines_aside_that_hardly_ever_pass() -> None:
    taken = independent(100)
    level = taken.counts.highest_levels(6)[5]
    assert binom.cdf(5, 100, taken.upper_rate_at(level, spare=0)) == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("taken", [independent(2_000), measured(estimate=2.0)])
def test_upper_rate_where_many_more_are_allowed_is_the_usual_one(taken: Exceedances) -> None:
    level = taken.counts.highest_levels(11)[10]
    usual = taken.upper_rate_at(level)
    assert taken.upper_rate_at(level, spare=100) == pytest.approx(usual, rel=1e-4)
    assert usual < 0.98 * taken.upper_rate_at(level, spare=10)
    assert taken.upper_rate_at(level, spare=10) < taken.upper_rate_at(level, spare=1) <= 1.0
