"""The command `recent`: the latest results and alarms, for a process that shows them to others, such as OPC UA."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.commands.command import Call
from agent.commands.view.scores import part_document
from agent.core.records import Alarm
from agent.messages import CommandRequest, utc_text
from agent.monitoring import RecentEvent


class RecentRequest(CommandRequest):
    """Return the results and alarms after a number, oldest first; waits for the next one if there is none."""

    command = "recent"
    run: str | None = Field(
        default=None,
        max_length=64,
        description="Run of the agent that gave the number; null, or another run: begin with what comes now.",
    )
    after: int = Field(default=0, ge=0, description="Number of the last event that is known.")
    wait_seconds: float = Field(default=0.0, ge=0.0, le=2.0, description="How long to wait for an event.")


def read_recent(call: Call) -> dict[str, Any]:
    """The run, its events after the number, and how many of them were already forgotten."""
    request, recent = call.request, call.agent.recent
    if request.run != recent.run:
        return {"run": recent.run, "number": recent.latest(), "missed": 0, "events": []}
    events = recent.after(request.after, wait_seconds=request.wait_seconds)
    number = events[-1].number if events else request.after
    return {
        "run": recent.run,
        "number": number,
        "missed": number - request.after - len(events),
        "events": [_document(event) for event in events],
    }


def _document(event: RecentEvent) -> dict[str, Any]:
    happened = event.happened
    if isinstance(happened, Alarm):
        return {
            "kind": "alarm",
            "camera": happened.camera,
            "id": happened.id,
            "event": happened.event.value,
            "of": happened.kind.value,
            "reason": happened.reason,
            "score": happened.score,
            "threshold": happened.threshold,
            "at": utc_text(happened.captured_at),
        }
    return {
        "kind": "result",
        "camera": happened.camera,
        "id": event.id,
        "product": happened.product,
        "calibration": happened.calibration,
        "announced": happened.announced,
        # Processes of one machine share this clock: a result is for a trigger only if the part did not start before it.
        "started_monotonic": happened.started_monotonic,
        **part_document(happened),
    }
