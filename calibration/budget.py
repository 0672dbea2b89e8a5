"""How many false alarms may there be: the one question the user is asked."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from calibration.errors import CalibrationError

SECONDS_PER_DAY = 86_400.0

# A shift is eight hours: three of them run a line around the clock.
_SECONDS = {"minute": 60.0, "hour": 3_600.0, "shift": 28_800.0, "day": SECONDS_PER_DAY, "week": 7 * SECONDS_PER_DAY}
_FRAMES = frozenset({"part", "frame", "picture"})
_SHAPE = re.compile(r"\s*(\d+(?:\.\d+)?)\s+(?:alarms?\s+)?(?:per|in|/)\s+(?:(\d+(?:\.\d+)?)\s+)?([a-z]+?)s?\s*", re.I)
_WANTED = "'1 per shift', '2 per day', '1 per hour', '1 per 10000 parts' or '1 per 1000 frames'"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many alarms in so many seconds, or in so many frames: exactly one of the two is given.

    One inspected frame is one part, so that "per 10000 parts" is "per 10000 frames".

    >>> Budget.parse("1 per shift")
    Budget(alarms=1.0, per_seconds=28800.0, per_frames=None)
    >>> Budget.parse("2 per 10000 parts").per_frame(frames_per_second=20.0)
    0.0002
    """

    alarms: float
    """Alarms allowed in one span, > 0."""
    per_seconds: float | None = None
    """Length of the span, seconds; None where it is counted in frames."""
    per_frames: float | None = None
    """Length of the span, frames; None where it is counted in seconds."""

    def __post_init__(self) -> None:
        if (self.per_seconds is None) == (self.per_frames is None):
            raise CalibrationError("budget: give one of per_seconds and per_frames, not both and not none")
        for name, value in (("alarms", self.alarms), ("span", self._span)):
            if not (math.isfinite(value) and value > 0):
                raise CalibrationError(f"budget: {name} is {value!r}, wanted a number above 0")
        if self.per_frames is not None and self.alarms >= self.per_frames:
            raise CalibrationError(f"budget: {self} allows an alarm on every frame, wanted fewer alarms than frames")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "1 per shift" (of eight hours), "2 per day", "1 per 4 hours", "1 per 10000 parts", "1 per 1000 frames".

        Raises:
            CalibrationError: where the text says anything else.
        """
        found = _SHAPE.fullmatch(text)
        unit = found[3].lower() if found else ""
        if found is None or (unit not in _SECONDS and unit not in _FRAMES):
            raise CalibrationError(f"false-alarm budget: got {text!r}, wanted {_WANTED}")
        alarms, many = float(found[1]), float(found[2] or 1)
        if unit in _FRAMES:
            return cls(alarms=alarms, per_frames=many)
        return cls(alarms=alarms, per_seconds=many * _SECONDS[unit])

    def per_frame(self, *, frames_per_second: float) -> float:
        """Allowed alarms per frame, on a line that runs at this rate."""
        if self.per_frames is not None:
            return self.alarms / self.per_frames
        return self.alarms / (self._span * frames_per_second)

    def per_day(self, *, frames_per_second: float) -> float:
        """Allowed alarms per day of uninterrupted running."""
        return self.per_frame(frames_per_second=frames_per_second) * frames_per_second * SECONDS_PER_DAY

    @property
    def _span(self) -> float:
        return self.per_seconds if self.per_seconds is not None else float(self.per_frames or 0)

    def __str__(self) -> str:
        alarms = f"{self.alarms:g}"
        if self.per_frames is not None:
            return f"{alarms} per {self.per_frames:.10g} frames"
        for name, seconds in _SECONDS.items():
            if seconds == self.per_seconds:
                return f"{alarms} per {name}"
        unit, seconds = ("hours", 3_600.0) if self._span % 3_600 == 0 else ("minutes", 60.0)
        return f"{alarms} per {self._span / seconds:.12g} {unit}"
