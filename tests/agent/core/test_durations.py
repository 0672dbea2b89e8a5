"""Recent durations and their percentiles."""

from __future__ import annotations

import pytest

from agent.core.durations import Durations


def test_percentiles_are_of_the_last_10_000_durations() -> None:
    durations = Durations()
    assert durations.percentiles() is None
    for _ in range(10_000):
        durations.add(9.0)
    for _ in range(10_000):
        durations.add(0.002)
    assert durations.percentiles() == pytest.approx((2.0, 2.0, 2.0))


def test_every_duration_is_passed_on_in_seconds() -> None:
    durations, passed_on = Durations(), list[float]()
    durations.add(1.0)
    durations.on_add = passed_on.append
    durations.add(0.5)
    assert passed_on == [0.5]
