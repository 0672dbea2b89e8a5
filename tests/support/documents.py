"""Documents of agents, as they publish them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from agent.core.ids import new_id
from agent.messages import AlarmPayload, CountPayload, EventPayload, StatePayload, StatusPayload, VerdictPayload

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def now() -> datetime:
    """The time, UTC."""
    return datetime.now(timezone.utc)


def status(presence: str = "online", *, site: str = "plant", **more: Any) -> StatusPayload:
    """The status of an agent; without `at` it is its last will."""
    fields = {"version": "1.0", "connected_at": NOW, "at": now(), **more}
    return StatusPayload.model_validate({"status": presence, "site": site, **fields})


def state(phase: str = "armed", *, site: str = "plant", camera: str = "line1", **more: Any) -> StatePayload:
    """The state of a camera."""
    return StatePayload.model_validate({"site": site, "camera": camera, "phase": phase, "at": now(), **more})


def count(ok: int, nok: int, *, site: str = "plant", camera: str = "line1", **more: Any) -> CountPayload:
    """The parts of a shift."""
    passed = ok / (ok + nok)
    shift = {"ok": ok, "nok": nok, "not_judged": 0, "first_pass_yield": passed, "start": NOW, "end": NOW}
    return CountPayload.model_validate({"site": site, "camera": camera, "at": now(), "shift": shift, **more})


def alarm(event: str = "raised", *, site: str = "plant", camera: str = "line1", **more: Any) -> AlarmPayload:
    """An alarm."""
    fields = {"id": new_id(), "sequence": 1, "kind": "defect", "captured_at": now(), "frame": 7, "score": 2.0}
    rest = {"threshold": 1.0, "rule": None, "calibration": None, "model": None, "engine": None}
    return AlarmPayload.model_validate({"event": event, "site": site, "camera": camera, **fields, **rest, **more})


def verdict(alarm_id: str, judged: str, number: int, **more: Any) -> VerdictPayload:
    """A person's judgement."""
    fields = {"site": "plant", "camera": "line1", "by": "Anna", "at": now(), "raised_at": now(), **more}
    return VerdictPayload.model_validate({"id": alarm_id, "verdict": judged, "number": number, **fields})


def event(text: str, **more: Any) -> EventPayload:
    """Something that needs attention."""
    fields = {"id": new_id(), "event": "drift", "site": "plant", "camera": "line1", "at": now(), **more}
    return EventPayload.model_validate({"text": text, **fields})
