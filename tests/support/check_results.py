"""Helpers for tests of the doctor: its results, and the answers of systemd."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from agent.doctor import CheckResult, Level
from agent.doctor.service import RunCommand

Configure = Callable[..., Path]
"""Writes settings: `configure(source=…, url=…, mqtt=…, bundle=…)`; returns the file."""


def levels(results: Iterable[CheckResult]) -> list[Level]:
    return [result.level for result in results]


def only(results: Iterable[CheckResult]) -> CheckResult:
    (result,) = results
    return result


def printing(text: str | None) -> RunCommand:
    """Runs no command: each prints this text; with None, none is installed."""
    return lambda *command: text
