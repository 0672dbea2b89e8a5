"""The chart of rates agrees with the promise: its curve passes through the rates that the promise states."""

from __future__ import annotations

import re

import numpy as np
import pytest

from calibration import Calibration
from calibration.report.report_charts import RateCurve, rate_chart, score_trace
from calibration.statistics.stated_rates import StatedRates
from tests.calibration.report.test_report import CASES


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> Calibration:
    return CASES[request.param]()


def test_rate_curve_at_the_threshold_is_what_the_promise_states(made: Calibration) -> None:
    """Records hold scores as float32, hence the tolerance."""
    rates = StatedRates.of(made.threshold, budget=made.budget, frames_per_second=made.frames_per_second)
    curve = RateCurve.of(made)
    level = curve.level if made.threshold.certified and not curve.raised else made.threshold.value
    assert level == pytest.approx(made.threshold.value, rel=1e-6)
    assert curve.at(level) == pytest.approx((rates.likely, rates.worst), rel=1e-3)


def test_rate_curve_stays_level_where_the_threshold_was_raised() -> None:
    """Images left out may be good ones: the images kept do not show how rare alarms are up there."""
    made = CASES["raised"]()
    curve = RateCurve.of(made)
    assert curve.raised
    assert curve.level < made.threshold.value
    assert curve.at(curve.level) == curve.at(made.threshold.value) == curve.at(10 * made.threshold.value)
    below = curve.exceedances.tail.base
    assert curve.at(below)[0] > 5 * curve.at(curve.level)[0]


def test_rate_curve_is_not_raised_otherwise() -> None:
    for case in ("certified", "extrapolated", "dependent", "parts", "certified parts"):
        assert not RateCurve.of(CASES[case]()).raised, case


def places(svg: str, kind: str) -> np.ndarray:
    """Centres of the circles of a class: [n, 2] pixels."""
    return np.array(re.findall(rf'<circle class="{kind}" cx="([-\d.]+)" cy="([-\d.]+)"', svg), dtype=float)


def test_rate_chart_draws_the_curve_through_the_stated_rates(made: Calibration) -> None:
    svg = rate_chart(made, RateCurve.of(made))
    line = re.search(r'class="curve" points="([^"]+)"', svg)
    area = re.search(r'class="band" points="([^"]+)"', svg)
    assert line
    assert area
    curve = np.array([point.split(",") for point in line[1].split()], dtype=float)
    edge = np.array([point.split(",") for point in area[1].split()], dtype=float)[: len(curve)]
    *likely, worst = places(svg, "stated")
    rates = StatedRates.of(made.threshold, budget=made.budget, frames_per_second=made.frames_per_second)
    assert len(likely) == (1 if rates.carried else 0)
    assert all(np.interp(guess[0], *curve.T) == pytest.approx(guess[1], abs=1.0) for guess in likely)
    assert np.interp(worst[0], *edge.T) == pytest.approx(worst[1], abs=1.0)


def test_rate_chart_certified_limit_is_drawn_within_the_budget() -> None:
    made = CASES["certified"]()
    svg = rate_chart(made, RateCurve.of(made))
    budget = re.search(r'class="budget"[^>]* y1="([-\d.]+)"', svg)
    assert budget
    assert places(svg, "stated")[1, 1] >= float(budget[1]) - 0.1
    assert "false alarms per 100 parts" in svg


def test_score_trace_circles_the_images_left_out() -> None:
    assert len(places(score_trace(CASES["raised"]()), "out")) == 4
    assert len(places(score_trace(CASES["extrapolated"]()), "out")) == 0
