"""The budget: the texts that users write, and one clear line for those that cannot be read."""

from __future__ import annotations

import pytest

from calibration import Budget, CalibrationError


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
        ("1 per 1000 images", 1728.0),
        ("1 per 1000 pictures", 1728.0),
    ],
)
def test_budget_parse_known_texts(text: str, per_day: float) -> None:
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
        "1/day",
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


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"alarms": 1}, "both or neither"),
        ({"alarms": 1, "per_seconds": 3600, "per_frames": 100}, "both or neither"),
        ({"alarms": float("nan"), "per_seconds": 3600}, "alarms is nan"),
        ({"alarms": 1, "per_seconds": 0.0}, "span is 0.0"),
        ({"alarms": 5, "per_frames": 5}, "5 per 5 frames allows an alarm on every frame"),
    ],
)
def test_budget_impossible_is_rejected(settings: dict[str, float], words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        Budget(**settings)


@pytest.mark.parametrize(
    ("text", "words", "span", "noun"),
    [
        ("1 per shift", "1 false alarm per shift", "shift", "images"),
        ("2 per day", "2 false alarms per day", "day", "images"),
        ("1 per 4 hours", "1 false alarm per 4 hours", "4 hours", "images"),
        ("1 per 90 minutes", "1 false alarm per 90 minutes", "90 minutes", "images"),
        ("1 per 10000 parts", "1 false alarm per 10,000 parts", "10,000 parts", "parts"),
        ("3 alarms per 1000 frames", "3 false alarms per 1,000 frames", "1,000 frames", "frames"),
        ("1 per 1000 pictures", "1 false alarm per 1,000 images", "1,000 images", "images"),
    ],
)
def test_budget_words_are_those_of_the_user(text: str, words: str, span: str, noun: str) -> None:
    budget = Budget.parse(text)
    assert (budget.words, budget.span, budget.noun) == (words, span, noun)


def test_budget_of_parts_equals_that_of_frames() -> None:
    """The word is for sentences: the text that is read back, and the record, know only frames."""
    parts = Budget.parse("1 per 10000 parts")
    assert parts == Budget.parse("1 per 10000 frames")
    assert str(parts) == "1 per 10000 frames"


@pytest.mark.parametrize(
    ("text", "per_day", "in_span"),
    [
        ("1 per shift", 54.0, 18.0),
        ("2 per day", 54.0, 54.0),
        ("1 per 1000 parts", 17_280.0, 10.0),
        ("1 per 1000 parts", 1e12, 1000.0),
        ("1 per hour", 1e12, 72_000.0),
    ],
)
def test_budget_in_span_converts_rates_up_to_one_alarm_per_frame(text: str, per_day: float, in_span: float) -> None:
    assert Budget.parse(text).in_span(per_day, frames_per_second=20.0) == pytest.approx(in_span)
