"""The result of one check of `inspectd doctor`: one line, and the command that fixes the problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from agent.core.errors import InspectdError


class Level(str, Enum):
    """How serious a result is."""

    OK = "ok"
    WARNING = "warning"
    """The agent works, but not as it should."""
    PROBLEM = "problem"
    """The agent does not run with these settings, or loses data."""


_LABELS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.PROBLEM: "problem"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the report."""

    level: Level
    subject: str
    """What was checked, such as `python`, `camera line1` or `broker`."""
    text: str
    """What was found; also what was wanted, where the two differ."""
    fix: str | None = None
    """The command or the setting that fixes it; None if nothing is wrong."""

    def document(self) -> dict[str, Any]:
        """An entry of `inspectd doctor --json`; there `fix` is called `mend`."""
        return {"level": self.level.value, "subject": self.subject, "text": self.text, "mend": self.fix}


def ok(subject: str, text: str) -> CheckResult:
    """Nothing is wrong."""
    return CheckResult(Level.OK, subject, text)


def warning(subject: str, text: str, fix: str) -> CheckResult:
    """It works, but not as it should."""
    return CheckResult(Level.WARNING, subject, text, fix)


def problem(subject: str, text: str, fix: str) -> CheckResult:
    """It does not work."""
    return CheckResult(Level.PROBLEM, subject, text, fix)


def unreadable_settings(error: InspectdError, config: Path, edit: str) -> Iterator[CheckResult]:
    """Settings that cannot be read: a problem for each line of the error. `edit` is the fix where the file is there."""
    named = f"--config {config / 'NAME.toml'}"
    yield from (problem("settings", line, named if config.is_dir() else edit) for line in str(error).splitlines())


def lines(result: CheckResult) -> Iterator[str]:
    """The result for a person, and below it the fix."""
    yield f"{_LABELS[result.level]}  {result.subject}: {result.text}"
    if result.fix is not None:
        yield f"         → {result.fix}"
