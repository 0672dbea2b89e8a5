"""The budget: the texts that users write, and one clear line for those that cannot be read."""

from __future__ import annotations

import pytest

from calibration import Budget, CalibrationError
from calibration.budgets.budget_text import read_duration


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
        ("one a week", 1 / 7),
        ("once a day", 1.0),
        ("Once per day", 1.0),
        ("twice a shift", 6.0),
        ("three times a day", 3.0),
        ("1/shift", 3.0),
        ("1 / day", 1.0),
        ("at most 2 false alarms per day", 2.0),
        ("no more than one alarm every 2 hours", 12.0),
        ("1 in 4 h", 6.0),
        ("1 daily", 1.0),
        ("one hourly", 24.0),
        ("1,5 per day", 1.5),
        ("1.5 per day", 1.5),
        ("0,5 per week", 0.5 / 7),
        ("1 per month", 1 / 30),
        ("2 a year", 2 / 365),
        ("1 per 12 h shift", 2.0),
        ("1 per 12-hour shift", 2.0),
        ("1 per 10,000 parts", 172.8),
        ("1 per 10 000 parts", 172.8),
        ("1 per 10'000 parts", 172.8),
        ("1 per 10\u202f000 parts", 172.8),
        ("1 per 10k parts", 172.8),
        ("1 per ten thousand parts", 172.8),
        ("1 per million frames", 1.728),
        ("1 per 1e6 frames", 1.728),
        ("1 in 1000", 1728.0),
        ("1 out of 1000 parts", 1728.0),
        ("1:1000", 1728.0),
        ("0.1 %", 1728.0),
        ("0,1%", 1728.0),
        ("0.1 percent of parts", 1728.0),
        ("1 per mille", 1728.0),
        ("1 ‰ of all images", 1728.0),
        ("100 ppm", 172.8),
        ("100 ppm of frames", 172.8),
    ],
)
def test_budget_parse_known_texts(text: str, per_day: float) -> None:
    assert Budget.parse(text).per_day(frames_per_second=20.0) == pytest.approx(per_day)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 per fortnight",
        "-1 per day",
        "1 per",
        "per day",
        "0 per day",
        "1 per 0 parts",
        "2 per 1 frames",
        "100 %",
    ],
)
def test_budget_parse_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(CalibrationError) as error:
        Budget.parse(text)
    assert "budget" in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, ValueError)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("1 per fortnight", "'fortnight'"),
        ("few per day", "'few'"),
        ("per day", "'per'"),
        ("-1 per day", "'-'"),
        ("1 alarm day", "'day'"),
        ("1 per day please", "'please'"),
        ("0.1 % of Tuesdays", "'tuesdays'"),
        ("1 per 10.000 parts", "'10.000'"),
        ("1 per", "got '1 per'"),
    ],
)
def test_budget_error_names_the_word_that_is_not_understood(text: str, word: str) -> None:
    with pytest.raises(CalibrationError, match="wanted") as error:
        Budget.parse(text)
    assert word in str(error.value)


@pytest.mark.parametrize("text", ["1 per 0 hours", "1 per 0 shifts", "1 per 0 parts", "1 per 0"])
def test_budget_of_an_empty_span_is_not_one_of_a_whole_unit(text: str) -> None:
    with pytest.raises(CalibrationError, match="span is 0, wanted a number above 0"):
        Budget.parse(text)


def test_budget_error_names_what_the_user_counts() -> None:
    with pytest.raises(CalibrationError, match="100 per 100 parts allows an alarm for each, wanted fewer alarms than"):
        Budget.parse("100 %")


def test_budget_of_a_shift_of_its_own_length() -> None:
    budget = Budget.parse("1 per shift", shift_seconds=read_duration("12 h"))
    assert budget.per_seconds == 43_200
    assert budget.words == "1 false alarm per 12 h shift"
    assert Budget.parse(str(budget)) == budget
    assert Budget.parse("1 per 2 shifts", shift_seconds=43_200.0).span == "day"


@pytest.mark.parametrize("text", ["", "shift", "12", "12 parts", "1 shift", "12 h 30"])
def test_duration_nonsense_is_one_clear_line(text: str) -> None:
    with pytest.raises(CalibrationError, match="wanted '12 h'"):
        read_duration(text)


def test_budget_in_parts_of_several_frames_counts_parts() -> None:
    budget = Budget.parse("1 per 100 parts", frames_per_part=4)
    assert budget.per_frame(frames_per_second=1.0) == pytest.approx(1 / 400)
    assert (budget.words, budget.noun) == ("1 false alarm per 100 parts", "images")
    assert budget.in_span(1 / 400 * 86_400, frames_per_second=1.0) == pytest.approx(1.0)
    assert Budget.parse("1 per 400 frames", frames_per_part=4).words == "1 false alarm per 400 frames"
    with pytest.raises(CalibrationError, match="frames_per_part"):
        Budget.parse("1 per 100 parts", frames_per_part=0.5)


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
        ({"alarms": 1, "per_seconds": 0.0}, "span is 0,"),
        ({"alarms": 5, "per_frames": 5}, "5 per 5 frames allows an alarm for each, wanted fewer alarms than frames"),
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
