"""The commands `pause`, `resume` and `inspect`."""

from __future__ import annotations

import time
from typing import Any

from agent.commands.command import Call


def pause(call: Call) -> dict[str, Any]:
    """Stop judging the frames of a camera; its active alarms are cleared."""
    line = call.line()
    line.call(lambda: call.agent.pause(line))
    return {"phase": line.station.phase.value}


def resume(call: Call) -> dict[str, Any]:
    """Judge the frames of a camera again."""
    line = call.line()
    line.call(line.station.resume)
    return {"phase": line.station.phase.value}


def inspect_part(call: Call) -> dict[str, Any]:
    """Judge the next frames of a triggered camera as this part; its result follows as a message of its own."""
    line = call.line()
    # The frames count from the arrival of the trigger, not from the end of the frame that is being judged.
    triggered_monotonic = time.monotonic()
    waiting = line.call(lambda: line.trigger(call.request.part, triggered_monotonic))
    return {"part": call.request.part, "waiting_before": waiting}
