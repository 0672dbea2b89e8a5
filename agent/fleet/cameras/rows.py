"""The row of one camera, as the page gets it: short texts and numbers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from agent.core.printable import printable
from agent.fleet.cameras.conditions import SEVERITIES, Clock, Condition
from agent.messages import CountPayload, PartNumbersPayload, StatePayload, StatusPayload

# What a person reads in a table; the detail below it has the rest.
MAX_TEXT = 160

# Longer ones are no addresses that people open.
MAX_ADDRESS = 500

# Of a group of cameras: what fits below its name.
_MAX_NAME = 40
_MOST_NAMES = 20

Row = dict[str, Any]


def agent_fields(status: StatusPayload | None, clock: Clock) -> Row:
    """What the cameras of an agent have in common."""
    outbox = None if status is None else status.outbox
    off = clock.seconds_off
    return {
        "version": None if status is None else short(status.version),
        "waiting": None if outbox is None else outbox.waiting,
        "problems": 0 if status is None else len(status.problems),
        "page": None if status is None else _address(status.page),
        # Whole minutes: a clock that is off by 90.1 s, then by 90.2 s, is no news.
        "clock_off": round(off / 60.0) * 60 if clock.doubtful and off is not None else None,
    }


def camera_fields(state: StatePayload | None, count: CountPayload | None) -> Row:
    """What a camera has of its own."""
    if state is None:
        return {"phase": None}
    return {
        "phase": state.phase.value,
        "product": short(state.product),
        **_numbers(count.shift if count is not None else state.shift_parts),
        "bundle": None if state.model is None else short(state.model.name),
        "bundle_id": None if state.model is None else state.model.sha256[:12],
        "engine": short(state.engine),
        "progress": None if state.progress is None else [state.progress.frames, state.progress.wanted],
    }


def group_fields(count: CountPayload) -> Row:
    """What cameras that see the same part have together."""
    cameras = None if count.cameras is None else [short(camera, _MAX_NAME) for camera in count.cameras[:_MOST_NAMES]]
    return {"phase": None, "cameras": cameras or [], **_numbers(count.shift)}


def _numbers(shift: PartNumbersPayload | None) -> Row:
    return {
        "ok": None if shift is None else shift.ok,
        "nok": None if shift is None else shift.nok,
        "not_judged": None if shift is None else shift.not_judged,
        "yield": None if shift is None else shift.first_pass_yield,
    }


def text_of(conditions: list[Condition], status: StatusPayload | None, state: StatePayload | None) -> str | None:
    """The words of the agent that go with the worst condition, where it has any."""
    worst = conditions[0]
    if worst is Condition.PROMISE_BROKEN and state is not None and state.broken_promise is not None:
        return short(state.broken_promise.text)
    if worst is Condition.PROBLEMS and status is not None:
        return short(status.problems[0])
    return None if state is None else short(state.reason)


def severity_of(conditions: list[Condition]) -> int:
    """Of the worst condition."""
    return max(SEVERITIES[condition] for condition in conditions).value


def short(text: str | None, most: int = MAX_TEXT) -> str | None:
    """On one line, without what could change a terminal or the direction of writing, and of limited length."""
    if text is None:
        return None
    shown = printable(text[:most])[:most]
    return shown if len(text) <= most else f"{shown[: most - 1]}…"


def _address(address: str | None) -> str | None:
    """An address that a browser may be sent to; None for anything else, such as a script."""
    if address is None or len(address) > MAX_ADDRESS or not address.isprintable():
        return None
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return address if parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc else None
