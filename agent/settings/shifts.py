"""The section `[shifts]`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from agent.core.section import Section
from agent.parts import ShiftCalendar, read_time, read_zone, starts_of
from calibration import CalibrationError, read_duration

_DAY_SECONDS = 24 * 3600

# Shorter ones are a mistake.
_SHORTEST_SECONDS = 15 * 60


class ShiftSettings(Section):
    """When a shift starts, for the numbers of parts."""

    starts: Annotated[tuple[str, ...], Field(min_length=1)] = ("06:00", "14:00", "22:00")
    """Times of the wall clock."""
    length: str | None = None
    """Shifts of this length follow the only start. None: each start is given."""
    time_zone: str | None = None
    """Such as `Europe/Berlin`; None: that of the device."""

    @property
    def calendar(self) -> ShiftCalendar:
        """The shifts of each day."""
        minutes = None if self.length is None else round(read_duration(self.length) / 60)
        starts = [read_time(text) for text in self.starts]
        return ShiftCalendar(starts_of(starts, minutes), read_zone(self.time_zone))

    @model_validator(mode="after")
    def _readable(self) -> ShiftSettings:
        for text in self.starts:
            read_time(text)
        read_zone(self.time_zone)
        if self.length is not None:
            self._check_length(self.length)
        return self

    def _check_length(self, length: str) -> None:
        if len(self.starts) != 1:
            raise ValueError(f"got length and {len(self.starts)} starts; wanted only the start of the first shift")
        try:
            seconds = read_duration(length)
        except CalibrationError as error:
            raise ValueError(f"length: {error}") from None
        if seconds < _SHORTEST_SECONDS or _DAY_SECONDS % seconds or seconds % 60:
            raise ValueError(
                f"length: got {length!r}, wanted a length that divides a day evenly, such as '8 h' or '12 h'"
            )
