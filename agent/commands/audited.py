"""What a command changes, for the audit log: the state before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from agent.commands.command import Call
from agent.core.errors import Permanent
from agent.core.printable import printable
from agent.core.secrets import redacted
from agent.messages import CommandRequest

_MOST_LISTED = 1000
_LONGEST = 200


class AuditListRequest(CommandRequest):
    """List the latest entries of the audit log, newest first."""

    command = "audit/list"
    limit: int = Field(default=100, ge=1, le=_MOST_LISTED, strict=True, description="At most so many.")


class AuditLoginRequest(CommandRequest):
    """Note a login, a logout or a training at a program in front of the agent, such as its page."""

    command = "audit/login"
    event: Literal["login", "logout", "login failed", "training started", "training cancelled", "training dropped"] = (
        Field(description="What happened.")
    )
    person: str = Field(min_length=1, max_length=100, description="The account.")
    role: str | None = Field(default=None, max_length=40, description="Its role.")
    address: str | None = Field(default=None, max_length=100, description="Where the person is.")


def list_audit(call: Call) -> dict[str, Any]:
    """The latest entries."""
    entries = call.agent.audit.latest(call.request.limit)
    return {"entries": [entry.document() for entry in reversed(entries)]}


def note_login(call: Call) -> dict[str, Any]:
    """An entry of its own."""
    request = call.request
    detail = {"role": request.role, "address": request.address, "through": call.by}
    known = {key: printable(value) for key, value in detail.items() if value is not None}
    entry = call.agent.audit.add(request.event, by=printable(request.person), request=known)
    return {"number": entry.number}


def state_of(call: Call) -> dict[str, Any]:
    """What commands change, by name: the camera's phase and calibration, an alarm's verdict, the settings."""
    found: dict[str, Any] = {}
    if hasattr(call.request, "alarm"):
        judgement = call.agent.review.journal.find(call.request.alarm).judgement
        found["verdict"] = None if judgement is None else judgement.verdict.value
        return found
    if call.request.command == "reload":
        return dict(_flat("", call.agent.settings.model_dump(mode="json")))
    try:
        station = call.line().station
    except Permanent:
        return found
    calibration = station.calibration
    found["phase"] = station.phase.value
    found["model"] = call.line().bundle.sha256
    found["calibration"] = None if calibration is None else calibration.id
    found["threshold"] = None if calibration is None else calibration.threshold.value
    return found


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Old and new value of everything that differs.

    >>> changes({"phase": "armed", "threshold": 1.0}, {"phase": "paused", "threshold": 1.0})
    {'phase': ['armed', 'paused']}
    """
    names = [*before, *(name for name in after if name not in before)]
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    """Settings by their full name, without secrets."""
    if isinstance(value, dict):
        return [pair for key, below in value.items() for pair in _flat(f"{name}.{key}" if name else key, below)]
    return [(name, redacted(value)[:_LONGEST] if isinstance(value, str) else value)]
