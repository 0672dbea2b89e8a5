"""The texts that people write for a false-alarm budget: "1 per shift", "once a day", "0.1 %", "1 per 10,000 parts"."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from calibration.errors import CalibrationError

SHIFT_SECONDS = 28_800.0
"""A shift has eight hours unless the settings say otherwise: three of them run a line around the clock."""

SECONDS = {"minute": 60.0, "hour": 3_600.0, "shift": SHIFT_SECONDS, "day": 86_400.0, "week": 7 * 86_400.0}
"""Lengths of the spans that sentences name."""

_MONTH_DAYS, _YEAR_DAYS = 30, 365
_TIMES = {
    **SECONDS,
    "month": _MONTH_DAYS * 86_400.0,
    "year": _YEAR_DAYS * 86_400.0,
    **dict.fromkeys(("min", "mins"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs"), 3_600.0),
    "d": 86_400.0,
    "wk": 7 * 86_400.0,
}
_ADVERBS = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year"}
# Only lengths of time: nobody means so many false alarms in a second.
_SECONDS = dict.fromkeys(("s", "sec", "second"), 1.0)
_COUNTED = {
    **dict.fromkeys(("part", "item", "product", "workpiece", "pcs", "pc"), "parts"),
    "frame": "frames",
    "image": "images",
    "picture": "images",
}
_FIRST_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {
    **{word: number for number, word in enumerate(_FIRST_NUMBERS, 1)},
    "a": 1,
    "an": 1,
    "hundred": 100,
    "thousand": 1_000,
    "million": 1_000_000,
}
_TIMES_OVER = {"once": 1.0, "twice": 2.0, "thrice": 3.0}
_SCALES = {"k": 1e3, "hundred": 100.0, "thousand": 1e3, "million": 1e6}
_SHARES = {"%": 100.0, "percent": 100.0, "‰": 1e3, "permille": 1e3, "permil": 1e3, "ppm": 1e6}
_SEPARATORS = ("per", "in", "every", "each", "a", "an", "/", ":")
_FILLERS = ("times", "time", "x", "false", "alarm", "alarms")
_LEADS = re.compile(r"(?:at most|up to|(?:no|not) more than|maximum|max\.?|<=|≤|<)\s+")

# Thousands are grouped by comma, space or apostrophe; a comma before any other number of digits is a decimal comma.
_TOKEN = re.compile(
    r"\d{1,3}(?:[,' \u00a0\u2009\u202f_]\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:[.,]\d+)?(?:e[+-]?\d+)?|[^\W\d_]+|[^\w\s]"
)
_GROUPED = re.compile(r"\d{1,3}(?:[,' \u00a0\u2009\u202f_]\d{3})+(?:\.\d+)?")
# "10.000" is ten in English and ten thousand in much of Europe.
_AMBIGUOUS = re.compile(r"[1-9]\d{0,2}\.\d{3}")

_WANTED = (
    "'1 per shift', '2 per day', 'one a week', '1 per 4 hours', '1 per 10000 parts', '0.1 %', '100 ppm' or "
    "'1 per 1000 frames'"
)


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BudgetText:
    """What a text says: so many alarms in so long a span."""

    alarms: float
    number: float
    """Length of the span in `unit`."""
    unit: str
    """"seconds", "parts", "frames" or "images"."""
    shift: bool = False
    """The span is one shift."""


def read_budget(text: str, *, shift_seconds: float = SHIFT_SECONDS) -> BudgetText:
    """Read a budget.

    Raises:
        CalibrationError: the text has another form; the message names the first word that was not understood.

    >>> read_budget("one a week").number, read_budget("100 ppm").number, read_budget("1 per 10,000 parts").unit
    (604800.0, 1000000.0, 'parts')
    """
    words = _Words(text)
    alarms = words.amount()
    if words.next in _SHARES:
        whole = _SHARES[words.take()]
        words.skip("of", "all", "the")
        return words.finish(BudgetText(alarms, whole, words.counted() if words.next else "parts"))
    words.skip(*_FILLERS)
    if words.next in _ADVERBS:
        return words.finish(BudgetText(alarms, _TIMES[_ADVERBS[words.take()]], "seconds"))
    words.separator()
    number = words.number() if words.at_number else None
    if number is not None and not words.next:
        return BudgetText(alarms, number, "parts")
    unit, length = words.unit(), 1.0 if number is None else number
    if unit not in _TIMES:
        return words.finish(BudgetText(alarms, length, _COUNTED[unit]))
    if unit == "shift":
        return words.finish(BudgetText(alarms, length * shift_seconds, "seconds", shift=length == 1.0))
    seconds = length * _TIMES[unit]
    own_shift = words.next == "shift"
    if own_shift:
        words.take()
    return words.finish(BudgetText(alarms, seconds, "seconds", shift=own_shift))


def read_duration(text: str) -> float:
    """Read a length of time, such as "12 h" or "90 minutes", in seconds.

    Raises:
        CalibrationError: the text has another form.

    >>> read_duration("12 h"), read_duration("7,5 hours"), read_duration("2 s")
    (43200.0, 27000.0, 2.0)
    """
    words = _Words(text, what="duration", wanted="'12 h' or '450 minutes'")
    seconds = words.number() if words.at_number else words.fail()
    unit = words.unit(_SECONDS)
    length = _SECONDS.get(unit) or _TIMES.get(unit)
    if length is None or unit == "shift":
        raise CalibrationError(f"duration: got {text!r}, wanted '12 h' or '450 minutes'")
    return words.finish(seconds * length)


class _Words:
    """The words of a text, taken one after the other."""

    def __init__(self, text: str, *, what: str = "false-alarm budget", wanted: str = _WANTED) -> None:
        self._text, self._what, self._wanted = text, what, wanted
        lowered = _LEADS.sub("", text.strip().lower(), count=1)
        lowered = re.sub(r"(?<=\d)-(?=[a-z])", " ", lowered.replace("per mille", "permille").replace("out of", "in"))
        self._words: list[str] = _TOKEN.findall(lowered)

    @property
    def next(self) -> str:
        """The next word; empty after the last."""
        return self._words[0] if self._words else ""

    @property
    def at_number(self) -> bool:
        return self.next[:1].isdigit() or self.next in _NUMBERS

    def take(self) -> str:
        return self._words.pop(0)

    def skip(self, *words: str) -> None:
        while self.next in words:
            self.take()

    def amount(self) -> float:
        """Take how many alarms: a number, "once", "one"."""
        if self.next in _TIMES_OVER:
            return _TIMES_OVER[self.take()]
        return self.number() if self.at_number else self.fail()

    def number(self) -> float:
        word = self.take()
        value = float(_NUMBERS[word]) if word in _NUMBERS else self._digits(word)
        while self.next in _SCALES:
            value *= _SCALES[self.take()]
        return value

    def separator(self) -> None:
        if self.next not in _SEPARATORS:
            self.fail()
        self.take()

    def unit(self, more: Collection[str] = ()) -> str:
        """Take a unit of time or of counted things, or one of `more`, in the singular where that has a name."""
        units = (_TIMES, _COUNTED, more)
        known = (unit for unit in (self.next, self.next.removesuffix("s")) if any(unit in each for each in units))
        unit = next(known, None) or self.fail()
        self.take()
        return unit

    def counted(self) -> str:
        unit = self.next.removesuffix("s")
        if unit not in _COUNTED:
            self.fail()
        self.take()
        return _COUNTED[unit]

    def finish(self, value: _T) -> _T:
        """Return the value; nothing may be left."""
        if self._words:
            self.fail()
        return value

    def fail(self) -> NoReturn:
        named = f"{self.next!r} in {self._text!r} is not understood" if self.next else f"got {self._text!r}"
        raise CalibrationError(f"{self._what}: {named}, wanted {self._wanted}")

    def _digits(self, word: str) -> float:
        if _AMBIGUOUS.fullmatch(word):
            plain = word.replace(".", "")
            raise CalibrationError(
                f"{self._what}: {word!r} in {self._text!r} has two readings, wanted {plain} or {float(word):g}"
            )
        if _GROUPED.fullmatch(word):
            return float(re.sub(r"[^\d.]", "", word))
        return float(word.replace(",", "."))
