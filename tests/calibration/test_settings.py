"""Budget and rule: what users write, and what they get told when it makes no sense."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration import AlarmRule, Budget, CalibrationError, Rule


@pytest.mark.parametrize(
    ("text", "per_day"),
    [
        ("1 per shift", 3.0),
        ("2 per day", 2.0),
        ("1 per hour", 24.0),
        ("1 per 4 hours", 6.0),
        ("0.5 per week", 0.5 / 7),
        ("1 per 10000 parts", 172.8),
        ("3 alarms per 1000 frames", 5184.0),
        ("1/day", None),
    ],
)
def test_budget_parse_known_texts(text: str, per_day: float | None) -> None:
    if per_day is None:
        with pytest.raises(CalibrationError):
            Budget.parse(text)
        return
    assert Budget.parse(text).per_day(frames_per_second=20.0) == pytest.approx(per_day)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "one per day",
        "1 per fortnight",
        "-1 per day",
        "1 per",
        "per day",
        "0 per day",
        "1 per 0 parts",
        "2 per 1 frames",
    ],
)
def test_budget_parse_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(CalibrationError) as error:
        Budget.parse(text)
    assert "budget" in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    "text", ["1 per shift", "2 per day", "1 per 10000 frames", "1 per 4 hours", "7 per 20 minutes"]
)
def test_budget_text_survives_the_round_trip(text: str) -> None:
    budget = Budget.parse(text)
    assert Budget.parse(str(budget)).per_frame(frames_per_second=5.0) == pytest.approx(
        budget.per_frame(frames_per_second=5.0)
    )


def test_budget_needs_exactly_one_span() -> None:
    with pytest.raises(CalibrationError):
        Budget(alarms=1)
    with pytest.raises(CalibrationError):
        Budget(alarms=1, per_seconds=3600, per_frames=100)
    with pytest.raises(CalibrationError):
        Budget(alarms=float("nan"), per_seconds=3600)


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


def test_alarm_rule_nan_score_is_refused_and_changes_nothing() -> None:
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


def test_rule_statistic_of_a_long_window_is_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.rule._CHUNK_VALUES", 40)
    values = np.random.default_rng(0).random(500)
    expected = np.sort(np.lib.stride_tricks.sliding_window_view(values, 5), axis=1)[:, 2]
    assert np.array_equal(Rule(k=3, n=5).statistic(values), expected)
