"""A budget of false alarms, and the words that people write it in."""

from calibration.budgets.budget import (
    COUNTED,
    SECONDS_PER_DAY,
    Budget,
    number_text,
    percent,
    plural,
    rounded,
    two_digits,
)
from calibration.budgets.budget_text import SHIFT_SECONDS, read_duration

__all__ = [
    "COUNTED",
    "SECONDS_PER_DAY",
    "SHIFT_SECONDS",
    "Budget",
    "number_text",
    "percent",
    "plural",
    "read_duration",
    "rounded",
    "two_digits",
]
