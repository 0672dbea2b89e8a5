"""Shifts: the working day in parts, by the wall clock of the plant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, slots=True)
class Shift:
    """One shift of one day."""

    start: datetime
    """Its first instant, UTC."""
    end: datetime
    """The first instant of the next shift, UTC."""


class ShiftCalendar:
    """Which shift an instant belongs to.

    Shifts start at the same wall-clock times every day. Where the clock is changed, the shift that contains the change
    is an hour longer or shorter; one whose start falls into the skipped hour starts at the change.

    >>> calendar = ShiftCalendar([time(6), time(14), time(22)], ZoneInfo("Europe/Berlin"))
    >>> night = calendar.at(datetime(2026, 3, 29, 1, 0, tzinfo=timezone.utc))
    >>> night.start.isoformat(), (night.end - night.start).total_seconds() / 3600
    ('2026-03-28T21:00:00+00:00', 7.0)
    """

    def __init__(self, starts: Sequence[time], zone: tzinfo | None = None) -> None:
        """Args:
        starts: wall-clock times at which a shift starts, one or more, in any order.
        zone: the time zone of the wall clock; None: that of the device.
        """
        self._starts = sorted(set(starts))
        self._zone = zone
        self._latest: Shift | None = None

    def at(self, instant: datetime) -> Shift:
        """The shift of an instant, which has a time zone."""
        known = self._latest
        if known is not None and known.start <= instant < known.end:
            return known
        day = instant.astimezone(self._zone).date()
        days = [day + timedelta(days=offset) for offset in (-2, -1, 0, 1, 2)]
        begins = sorted({self._begin(datetime.combine(each, start)) for each in days for start in self._starts})
        after = next(place for place, begin in enumerate(begins) if begin > instant)
        self._latest = Shift(begins[after - 1], begins[after])
        return self._latest

    def _begin(self, wall: datetime) -> datetime:
        return (wall if self._zone is None else wall.replace(tzinfo=self._zone)).astimezone(timezone.utc)


def starts_of(first: Sequence[time], length_minutes: int | None) -> list[time]:
    """The starts of all shifts of a day: as given, or every `length_minutes` from the only one given.

    >>> [str(start) for start in starts_of([time(6)], 720)]
    ['06:00:00', '18:00:00']
    """
    if length_minutes is None:
        return list(first)
    begin = first[0].hour * 60 + first[0].minute
    minutes = [(begin + offset) % _DAY_MINUTES for offset in range(0, _DAY_MINUTES, length_minutes)]
    return [time(minute // 60, minute % 60) for minute in sorted(minutes)]


def read_time(text: str) -> time:
    """A wall-clock time such as `06:00`. Raises ValueError with one line.

    >>> read_time("6:30").isoformat()
    '06:30:00'
    """
    hour, _, minute = text.strip().partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and len(minute) == 2 and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f"got {text!r}, wanted a time such as '06:00'")
    return time(int(hour), int(minute))


def read_zone(name: str | None) -> tzinfo | None:
    """The time zone of this name; None for that of the device. Raises ValueError with one line."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"got {name!r}, wanted a time zone of this device, such as 'Europe/Berlin'") from None
