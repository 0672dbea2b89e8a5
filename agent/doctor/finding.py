"""What a check of `inspectd doctor` says: one line, and the command that mends what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from agent.settings import Settings


class Level(str, Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as it should."""
    PROBLEM = "problem"
    """The agent does not run like this, or loses something."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    level: Level
    subject: str
    """What was looked at: python, camera line1, broker."""
    text: str
    """What was found, and what was wanted where that differs."""
    mend: str | None = None
    """The command (or the setting) that mends it; None where all is well."""

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "level": self.level.value}


def ok(subject: str, text: str) -> CheckResult:
    """All is well."""
    return CheckResult(Level.OK, subject, text)


def warning(subject: str, text: str, mend: str) -> CheckResult:
    """It works, but not as it should."""
    return CheckResult(Level.WARNING, subject, text, mend)


def problem(subject: str, text: str, mend: str) -> CheckResult:
    """It does not work."""
    return CheckResult(Level.PROBLEM, subject, text, mend)


Check = Callable[[Settings], Iterator[CheckResult]]
"""Looks at one thing that the settings name; never raises for what it finds, never changes anything."""
