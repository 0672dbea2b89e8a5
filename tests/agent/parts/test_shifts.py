"""Shifts start at wall-clock times, also where the clock is changed."""

from __future__ import annotations

from datetime import datetime, time, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from agent.parts import ShiftCalendar, read_time, read_zone, starts_of

BERLIN = ZoneInfo("Europe/Berlin")
STARTS = [time(6), time(14), time(22)]


def utc(*at: int) -> datetime:
    return datetime(*at, tzinfo=timezone.utc)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2026, 1, 15), 8.0), ((2026, 3, 29), 7.0), ((2026, 10, 25), 9.0)],
    ids=["usual", "summer", "winter"],
)
def test_night_shift_is_an_hour_shorter_or_longer_where_the_clock_is_changed(
    day: tuple[int, int, int], hours: float
) -> None:
    night = ShiftCalendar(STARTS, BERLIN).at(utc(*day, 1, 0))
    assert night.start.astimezone(BERLIN).hour == 22
    assert night.end.astimezone(BERLIN).hour == 6
    assert (night.end - night.start) / timedelta(hours=1) == hours


def test_every_instant_of_a_year_is_in_exactly_one_shift() -> None:
    calendar = ShiftCalendar(STARTS, BERLIN)
    instant, shifts = utc(2026, 1, 1), set()
    while instant < utc(2027, 1, 1):
        shift = calendar.at(instant)
        assert shift.start <= instant < shift.end
        shifts.add(shift)
        instant += timedelta(minutes=30)
    ordered = sorted(shifts, key=lambda shift: shift.start)
    assert all(one.end == other.start for one, other in pairwise(ordered))
    assert len(ordered) == 3 * 365 + 1


def test_start_in_the_skipped_hour_is_the_change() -> None:
    shift = ShiftCalendar([time(2, 30), time(14)], BERLIN).at(utc(2026, 3, 29, 3, 0))
    assert shift.start == utc(2026, 3, 29, 1, 30), "02:30 is skipped: 03:30 summer time"


def test_a_length_gives_the_starts() -> None:
    assert starts_of([time(6)], 480) == sorted(STARTS)
    assert starts_of([time(6)], None) == [time(6)]


@pytest.mark.parametrize("text", ["24:00", "6", "06:0", "06:60", "-1:00", "six"])
def test_unreadable_times_are_rejected_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"wanted a time such as '06:00'"):
        read_time(text)


def test_unknown_time_zones_are_rejected_in_one_line() -> None:
    assert read_zone(None) is None
    for name in ("Europe/Nowhere", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="wanted a time zone"):
            read_zone(name)
