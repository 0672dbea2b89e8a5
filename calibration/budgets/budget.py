"""The false-alarm budget: how many false alarms the user allows, and rates expressed in the same unit."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from calibration.budgets.budget_text import SECONDS, SHIFT_SECONDS, read_budget
from calibration.errors import CalibrationError

SECONDS_PER_DAY = 86_400.0

COUNTED = ("parts", "frames", "images")
"""Words for the frames of a span."""

# Spans without a name of their own are written in the first of these that divides them.
_LONG_UNITS = (("days", SECONDS_PER_DAY), ("hours", 3_600.0))

# Rates below this are written as "under 0.001": more digits would suggest a precision that no window has.
_LEAST_WRITTEN = 1e-3


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `alarms` false alarms in a span of `per_seconds` seconds or of `per_frames` frames.

    Exactly one of the two spans is given. A part that several frames show counts once: its budget is one in frames,
    `frames_per_part` times as many.

    Raises:
        CalibrationError: both spans or neither, a number that is not above 0, or an alarm for every frame.

    >>> Budget.parse("1 per shift")
    Budget(alarms=1.0, per_seconds=28800.0, per_frames=None)
    >>> Budget.parse("2 per 10000 parts").per_frame(frames_per_second=20.0)
    0.0002
    """

    alarms: float
    """Alarms allowed in one span, > 0."""
    per_seconds: float | None = None
    """Length of the span, seconds; None if it is counted in frames."""
    per_frames: float | None = None
    """Length of the span, frames; None if it is a time."""
    counted: str = field(default="frames", repr=False, compare=False)
    """The user's word for the frames of the span: "parts", "frames" or "images". Changes sentences, never figures."""
    frames_per_part: float = field(default=1.0, repr=False)
    """Frames that show one part, ≥ 1; more than 1 for a budget in parts only. `per_frames` already counts them."""
    shift_seconds: float = field(default=SHIFT_SECONDS, repr=False, compare=False)
    """Length of a shift on this line, seconds. Changes sentences, never figures."""

    def __post_init__(self) -> None:
        if (self.per_seconds is None) == (self.per_frames is None):
            raise CalibrationError("budget: wanted either per_seconds or per_frames, got both or neither")
        for name, value in (("alarms", self.alarms), ("span", self._span)):
            if not (math.isfinite(value) and value > 0):
                raise CalibrationError(f"budget: {name} is {value:g}, wanted a number above 0")
        if not (math.isfinite(self.frames_per_part) and self.frames_per_part >= 1):
            raise CalibrationError(f"frames_per_part: got {self.frames_per_part!r}, wanted a number from 1")
        if self.per_frames is not None and self.alarms >= self.per_frames:
            rate, counted = f"{self.alarms:,.10g} per {self.span}", self.counted
            raise CalibrationError(f"budget: {rate} allows an alarm for each, wanted fewer alarms than {counted}")

    @classmethod
    def parse(cls, text: str, *, shift_seconds: float = SHIFT_SECONDS, frames_per_part: float = 1.0) -> Budget:
        """Read "1 per shift", "one a week", "1 per 4 hours", "1 per 10,000 parts", "0.1 %", "100 ppm" and the like.

        Args:
            text: a percentage, or a number without a unit, is one of parts.
            shift_seconds: length of a shift.
            frames_per_part: frames that show one part, ≥ 1.

        Raises:
            CalibrationError: the text has another form; the message names the word that was not understood.
        """
        found = read_budget(text, shift_seconds=shift_seconds)
        if found.unit == "seconds":
            length = found.number if found.shift else shift_seconds
            return cls(alarms=found.alarms, per_seconds=found.number, shift_seconds=length)
        each = frames_per_part if found.unit == "parts" else 1.0
        return cls(alarms=found.alarms, per_frames=found.number * each, counted=found.unit, frames_per_part=each)

    def per_frame(self, *, frames_per_second: float) -> float:
        """Return the allowed alarms per frame on a line that runs at this rate."""
        return self.alarms / self.span_frames(frames_per_second=frames_per_second)

    def per_day(self, *, frames_per_second: float) -> float:
        """Return the allowed alarms per day of uninterrupted running."""
        return self.per_frame(frames_per_second=frames_per_second) * frames_per_second * SECONDS_PER_DAY

    def span_frames(self, *, frames_per_second: float) -> float:
        """Return the length of the span in frames on a line that runs at this rate."""
        return self.per_frames if self.per_frames is not None else self._span * frames_per_second

    def in_span(self, alarms_per_day: float, *, frames_per_second: float) -> float:
        """Convert a rate in alarms per day of running into alarms per span, at most one for every frame.

        >>> Budget.parse("1 per shift").in_span(54.0, frames_per_second=20.0)
        18.0
        """
        span = self.span_frames(frames_per_second=frames_per_second)
        if self.per_seconds is not None:
            return min(alarms_per_day * self.per_seconds / SECONDS_PER_DAY, span)
        return min(alarms_per_day / (frames_per_second * SECONDS_PER_DAY) * span, span)

    @property
    def span(self) -> str:
        """The span in words.

        >>> [Budget.parse(text).span for text in ("1 per shift", "1 per 4 hours", "1 per 10000 parts")]
        ['shift', '4 hours', '10,000 parts']
        """
        if self.per_frames is not None:
            return f"{self.per_frames / self.frames_per_part:,.10g} {self.counted}"
        return self._time_span()

    @property
    def words(self) -> str:
        """The budget as part of a sentence.

        >>> Budget.parse("2 per day").words
        '2 false alarms per day'
        """
        return f"{self.alarms:,.10g} false alarm{'' if self.alarms == 1 else 's'} per {self.span}"

    def counting(self, word: str) -> Budget:
        """Return the same budget with another word for the frames of its span."""
        return replace(self, counted=word)

    @property
    def noun(self) -> str:
        """The word for frames in sentences about this budget: the user's own if it names each frame, else "images"."""
        return "images" if self.per_frames is None or self.frames_per_part != 1 else self.counted

    @property
    def _span(self) -> float:
        return self.per_seconds if self.per_seconds is not None else float(self.per_frames or 0)

    def _time_span(self) -> str:
        if self.per_seconds == self.shift_seconds != SHIFT_SECONDS:
            return f"{self.shift_seconds / 3_600:.12g} h shift"
        for name, seconds in SECONDS.items():
            if seconds == self.per_seconds:
                return name
        unit, seconds = next((each for each in _LONG_UNITS if self._span % each[1] == 0), ("minutes", 60.0))
        return f"{self._span / seconds:.12g} {unit}"

    def __str__(self) -> str:
        """Return the form that `parse` reads and that the agent's responses contain, with "frames" for any word."""
        span = self._time_span() if self.per_frames is None else f"{self.per_frames:.10g} frames"
        return f"{self.alarms:g} per {span}"


def two_digits(value: float, *, up: bool = False) -> float:
    """Round a number > 0 to two significant digits, to the nearest or up.

    >>> two_digits(3213.0), two_digits(3213.0, up=True)
    (3200.0, 3300.0)
    """
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return (math.ceil(value / unit - 1e-9) if up else round(value / unit)) * unit


def number_text(value: float) -> str:
    """Write a number ≥ 0 with thousands separators, without rounding it.

    >>> number_text(3300.0), number_text(0.25), number_text(1e-5)
    ('3,300', '0.25', 'under 0.001')
    """
    return f"under {_LEAST_WRITTEN:g}" if value < _LEAST_WRITTEN else f"{value:,.10g}"


def rounded(value: float) -> str:
    """Write a number ≥ 0 with two significant digits.

    >>> rounded(18.04), rounded(3213.0), rounded(0.83), rounded(0.0)
    ('18', '3,200', '0.83', 'under 0.001')
    """
    return number_text(two_digits(value)) if value > 0 else number_text(value)


def plural(number: int, noun: str) -> str:
    """Write a count with its noun.

    >>> plural(1, "alarm"), plural(3_000, "image")
    ('1 alarm', '3,000 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Write a share as a percentage, without rounding 0.999 to 100%.

    >>> percent(0.95), percent(0.999)
    ('95%', '99.9%')
    """
    return f"{100 * share:.6g}%"
