"""The watch speaks after a handful of alarms, and in at most one of twenty lives of a line that keeps its promise."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.production.promise_watch import find_broken_promise


def test_line_that_keeps_its_promise_is_left_alone() -> None:
    rng = np.random.default_rng(0)
    lines = 200
    spoken = sum(find_broken_promise(np.cumsum(rng.exponential(1.0, 120))) is not None for _ in range(lines))
    assert spoken <= 0.05 * lines


@pytest.mark.parametrize("before", [0, 3, 100])
@pytest.mark.parametrize("rate", [10, 30, 150])
def test_broken_promise_is_found_within_a_handful_of_alarms(rate: int, before: int) -> None:
    rng = np.random.default_rng(rate)
    delays, rates = [], []
    for _ in range(30):
        kept = np.cumsum(rng.exponential(1.0, before))
        begun = kept[-1] if before else 0.0
        found = find_broken_promise(np.append(kept, begun + np.cumsum(rng.exponential(1 / rate, 60))))
        assert found is not None
        delays.append(found.shown_by + 1 - before)
        rates.append(found.rate)
    assert np.median(delays) <= 15
    assert 0.7 * rate < np.median(rates) < 1.6 * rate


def test_begin_of_the_higher_rate_is_found() -> None:
    kept = np.arange(1.0, 31.0)
    found = find_broken_promise(np.append(kept, 30.5 + 0.02 * np.arange(1, 20)))
    assert found is not None
    assert found.first in (29, 30)


def test_one_incident_of_many_alarms_does_not_break_it() -> None:
    """A drop of oil: forty alarms within a hundredth of a shift, five minutes."""
    storm = 2.0 + np.linspace(0.0, 0.0099, 40)
    assert find_broken_promise(storm) is None
    assert find_broken_promise(np.concatenate([[0.7, 1.4], storm, [3.1, 4.4]])) is None


def test_clustered_alarms_at_the_promised_rate_are_left_alone() -> None:
    """Incidents of three alarms on average, as rare as the promise allows for the alarms together."""
    rng = np.random.default_rng(1)
    spoken, lines = 0, 150
    for _ in range(lines):
        begun = np.cumsum(rng.exponential(3.0, 40))
        alarms = [at + rng.uniform(0, 0.009, rng.geometric(1 / 3)) for at in begun]
        spoken += find_broken_promise(np.sort(np.concatenate(alarms))) is not None
    assert spoken <= 0.05 * lines


def test_nothing_without_alarms() -> None:
    assert find_broken_promise([]) is None
    assert find_broken_promise([0.001]) is None


def test_long_life_is_watched_with_bounded_work() -> None:
    """Two thousand incidents as promised, then thirty times as many."""
    kept = np.arange(1.0, 2001.0)
    assert find_broken_promise(kept) is None
    found = find_broken_promise(np.append(kept, 2000.0 + np.arange(1, 40) / 30))
    assert found is not None
    assert found.first in (1999, 2000)
    assert found.shown_by < 2020
