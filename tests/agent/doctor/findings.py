"""Reading what the doctor found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.doctor import Finding, Level

Configure = Callable[..., Path]
"""Writes settings: `configure(source=…, url=…, mqtt=…, bundle=…)`; where the file lies."""


def levels(findings: list[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def only(findings: object) -> Finding:
    (finding,) = list(findings)  # type: ignore[call-overload]
    return finding
