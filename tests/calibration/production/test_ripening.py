"""The upper limit of the false-alarm rate holds at every moment, and comes down soon enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from calibration.production.ripening import worst_rate


def ever_certified(positions: np.ndarray, exposure: float) -> bool:
    """Whether the promise is certified at any time. The limit falls between two alarms: the moments just before an
    alarm suffice."""
    ends = np.append(positions, exposure)
    return any(worst_rate(positions[:count], end) <= 1.0 for count, end in enumerate(ends))


def test_no_false_certificate_however_often_it_is_looked_at() -> None:
    """Rate exactly as promised: at most 1 in 20 lines is ever certified."""
    rng = np.random.default_rng(0)
    lines = 300
    wrong = sum(ever_certified(np.sort(rng.uniform(0, 40, rng.poisson(40))), 40.0) for _ in range(lines))
    assert wrong <= 0.05 * lines + 2 * math.sqrt(0.05 * 0.95 * lines)


def test_no_false_certificate_where_the_rate_changes() -> None:
    """Quiet at first, later twice as many alarms as promised: the average is above the promise from then on."""
    rng = np.random.default_rng(1)
    wrong, lines = 0, 200
    for _ in range(lines):
        late = np.sort(2.0 + rng.uniform(0, 18, rng.poisson(2.0 * 18)))
        moments = [(count, at) for count, at in enumerate(late) if at >= 4.0]
        wrong += any(worst_rate(late[:count], at) <= 1.0 for count, at in moments)
    assert wrong <= 0.05 * lines + 2 * math.sqrt(0.05 * 0.95 * lines)


@pytest.mark.parametrize(("rate", "exposure"), [(0.0, 5.8), (0.1, 11.0), (0.25, 16.0), (0.5, 45.0)])
def test_good_line_is_certified(rate: float, exposure: float) -> None:
    rng = np.random.default_rng(2)
    lines = [np.sort(rng.uniform(0, exposure, rng.poisson(rate * exposure))) for _ in range(60)]
    assert np.mean([ever_certified(line, exposure) for line in lines]) >= 0.8


def test_limit_falls_with_exposure_and_rises_with_each_alarm() -> None:
    limits = [worst_rate([], exposure) for exposure in (0.5, 1.0, 4.0, 100.0)]
    assert limits == sorted(limits, reverse=True)
    counts = [worst_rate(np.linspace(1, 9, count), 10.0) for count in range(6)]
    assert counts == sorted(counts)
    assert len(set(counts)) == 6


def test_alarms_of_one_incident_prove_less_than_single_ones() -> None:
    """Ten clusters of ten vary like ten events: with so many alarms the limit must stay higher."""
    single = np.linspace(1, 199, 100)
    clusters = np.sort((np.linspace(1, 199, 10)[:, None] + np.linspace(0, 0.005, 10)).ravel())
    assert worst_rate(clusters, 200.0) > 1.15 * worst_rate(single, 200.0)


@pytest.mark.parametrize("size", [3, 10])
def test_no_false_certificate_on_a_line_that_has_had_clusters(size: int) -> None:
    """Alarms at exactly the promised rate, in clusters; six of them occurred under earlier calibrations."""
    rng, lines, exposure = np.random.default_rng(size), 150, 60.0
    wrong = 0
    for _ in range(lines):
        earlier = rng.geometric(1 / size, 6)
        begun = rng.uniform(0, exposure, rng.poisson(exposure / size))
        clusters = [at + rng.uniform(0, 0.009, rng.geometric(1 / size)) for at in begun]
        alarms = np.sort(np.concatenate([np.empty(0), *clusters]))
        ends = np.append(alarms, exposure)
        wrong += any(worst_rate(alarms[:count], end, earlier=earlier) <= 1.0 for count, end in enumerate(ends))
    assert wrong <= 0.05 * lines + 2 * math.sqrt(0.05 * 0.95 * lines)


def test_single_alarms_under_earlier_calibrations_shorten_the_time() -> None:
    assert worst_rate([], 4.1, earlier=[1] * 20) <= 1.0 < worst_rate([], 4.1)


def test_nothing_is_known_before_the_first_frame() -> None:
    assert worst_rate([], 0.0) == math.inf


def test_thousands_of_alarms_are_no_problem() -> None:
    positions = np.sort(np.random.default_rng(3).uniform(0, 1000, 20_000))
    assert 19.0 < worst_rate(positions, 1000.0) < 24.0
