"""The alarm rule: online and offline give the same statistic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import AlarmRule, CalibrationError, Rule


@pytest.mark.parametrize("text", ["3 of 2", "0 of 5", "1 of 1000", "three of five", "3", "3 of"])
def test_rule_parse_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(CalibrationError, match="alarm rule: got"):
        Rule.parse(text)


@given(
    values=st.lists(st.floats(0, 100), min_size=1, max_size=60),
    rule=st.tuples(st.integers(1, 6), st.integers(0, 6)).map(lambda kn: Rule(k=kn[0], n=kn[0] + kn[1])),
)
def test_alarm_rule_online_equals_the_offline_statistic(values: list[float], rule: Rule) -> None:
    """And both equal the definition: at least k of the last n above a level is the statistic above that level."""
    online = AlarmRule(rule)
    found = [online.update(value) for value in values]
    assert found[rule.n - 1 :] == rule.statistic(values).tolist()
    for end in range(1, len(values) + 1):
        recent = values[max(0, end - rule.n) : end]
        for level in (0.0, 10.0, 50.0, *values[:3]):
            assert (found[end - 1] > level) == (sum(value > level for value in recent) >= rule.k)


def test_alarm_rule_nan_score_is_rejected_and_changes_nothing() -> None:
    rule = AlarmRule(Rule(k=1, n=3))
    rule.update(5.0)
    with pytest.raises(CalibrationError, match="nan"):
        rule.update(float("nan"))
    assert rule.update(1.0) == 5.0


def test_alarm_rule_reset_forgets() -> None:
    rule = AlarmRule(Rule(k=2, n=3))
    rule.update(9.0)
    rule.reset()
    assert rule.update(9.0) == 0.0


def test_rule_statistic_of_a_window_longer_than_one_chunk() -> None:
    """Chunks hold 1.6 million frames of five."""
    values = np.random.default_rng(0).random(1_700_000)
    expected = np.sort(np.lib.stride_tricks.sliding_window_view(values, 5), axis=1)[:, 2]
    assert np.array_equal(Rule(k=3, n=5).statistic(values), expected)
