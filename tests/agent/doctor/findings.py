"""Reading what the doctor found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.doctor import CheckResult, Level

Configure = Callable[..., Path]
"""Writes settings: `configure(source=…, url=…, mqtt=…, bundle=…)`; where the file lies."""


def levels(findings: list[CheckResult]) -> list[Level]:
    return [finding.level for finding in findings]


def only(findings: object) -> CheckResult:
    (finding,) = list(findings)  # type: ignore[call-overload]
    return finding
