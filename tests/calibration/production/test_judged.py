"""Confirmed false alarms raise a threshold as far as the budget asks, and recall is counted by confirmed defects."""

from __future__ import annotations

import numpy as np

from calibration import FalseAlarmLevel, found_defects, level_of_false_alarms
from tests.calibration.lines import calibration


def test_level_leaves_as_many_false_alarms_as_the_budget_allows() -> None:
    """Production of 50 spans of a budget, with 200 false alarms: at the level, 50 of them remain."""
    peaks = np.random.default_rng(0).gamma(9.0, size=200)
    found = level_of_false_alarms(peaks, allowed=50.9)
    assert found is not None
    assert int((peaks > found.level).sum()) == 50
    assert found.alarms == 200


def test_no_level_where_the_budget_was_kept() -> None:
    assert level_of_false_alarms([3.0, 4.0], allowed=2.0) is None
    assert level_of_false_alarms([], allowed=0.0) is None
    assert level_of_false_alarms([3.0, 4.0], allowed=0.4) == FalseAlarmLevel(4.0, 2)


def test_level_raises_a_threshold_and_never_lowers_one() -> None:
    before = calibration()
    assert FalseAlarmLevel(before.threshold.value - 1.0, 3).applied_to(before) is before
    raised = FalseAlarmLevel(before.threshold.value + 1.0, 3).applied_to(before)
    assert raised.threshold.value == before.threshold.value + 1.0
    assert raised.id != before.id
    assert raised.threshold.certified == before.threshold.certified
    assert "what 3 confirmed false alarms reached" in raised.threshold.reason
    assert type(before).from_json(raised.to_json()) == raised


def test_defect_is_found_above_the_threshold_only() -> None:
    assert found_defects([2.0, 2.0001, 9.0], threshold=2.0) == 2
    assert found_defects([], threshold=2.0) == 0
