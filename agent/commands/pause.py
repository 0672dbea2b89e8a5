"""The commands `pause` and `resume`."""

from __future__ import annotations

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
