"""From messages to rows of the history: what is kept of an alarm, a judgement, an event and a login."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from agent.core.records import AlarmEvent
from agent.fleet.broker.topic_tree import Place
from agent.fleet.cameras.rows import short
from agent.fleet.history.tables import ALARMS, EVENTS, LOGINS, MAX_ID, MAX_NAME, MAX_TEXT
from agent.messages import UNSYNCHRONISED, AlarmPayload, EventPayload, VerdictPayload

# An agent whose clock is ahead would stay on top of every list.
_FUTURE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that is added, or changes the one with the same key."""

    table: Table
    values: Mapping[str, Any]


def alarm_entry(place: Place, alarm: AlarmPayload, now: float) -> Entry:
    """An alarm that was raised, or cleared; `now` is Unix time."""
    at = alarm.captured_at.timestamp()
    # By a clock that may be years off: when it arrived is nearer.
    if alarm.clock == UNSYNCHRONISED or at > now + _FUTURE_SECONDS:
        at = now
    when = "raised_at" if alarm.event is AlarmEvent.RAISED else "cleared_at"
    return Entry(
        ALARMS,
        {
            **_key(place, alarm.id),
            "kind": alarm.kind.value,
            "received_at": now,
            when: at,
            "score": alarm.score,
            "threshold": alarm.threshold,
            "reason": short(alarm.reason, MAX_TEXT),
            "product": short(alarm.product, MAX_NAME),
            "origin": short(alarm.origin, MAX_TEXT),
            "calibration": short(alarm.calibration, MAX_ID),
            "clock": alarm.clock,
        },
    )


def verdict_entry(place: Place, verdict: VerdictPayload, now: float) -> Entry:
    """A judgement of an alarm, which need not be known."""
    return Entry(
        ALARMS,
        {
            **_key(place, verdict.id),
            "kind": "defect",
            "received_at": now,
            "raised_at": min(verdict.raised_at.timestamp(), now),
            "origin": short(verdict.origin, MAX_TEXT),
            "verdict": verdict.verdict,
            "verdict_number": min(verdict.number, 2**31 - 1),
            "judged_by": short(verdict.by, MAX_NAME),
            "judged_at": verdict.at.timestamp(),
            "defect": short(verdict.kind, MAX_NAME),
            "note": short(verdict.note, MAX_TEXT),
        },
    )


def event_entry(place: Place, event: EventPayload, now: float) -> Entry:
    """Something that needs attention."""
    return Entry(
        EVENTS,
        {
            **_key(place, event.id),
            "event": event.event,
            "received_at": now,
            "at": min(event.at.timestamp(), now),
            "text": short(event.text, MAX_TEXT),
        },
    )


def login_entry(event: str, person: str, address: str, role: str | None, now: float) -> Entry:
    """A login, a logout, or a login that failed."""
    named = short(person, MAX_NAME)
    return Entry(LOGINS, {"received_at": now, "event": event, "person": named, "role": role, "address": address})


def _key(place: Place, identity: str) -> dict[str, Any]:
    return {"agent": place.agent, "id": short(identity, MAX_ID), "camera": place.camera or ""}
