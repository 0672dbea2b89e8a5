"""The command `status`: the agent, its cameras and its outputs."""

from __future__ import annotations

from typing import Any

from agent.commands.calibrations import recall_of
from agent.commands.command import Call


def status(call: Call) -> dict[str, Any]:
    """States of all cameras, or of the one named; delivery with its latency. Raises Permanent for an unknown camera."""
    agent = call.agent
    states = agent.states()
    if call.camera is not None:
        states = {call.camera: states[call.line().name]}
    outputs = [(output, output.report()) for output in agent.outputs]
    first, delivery = outputs[0]
    return {
        "site": agent.settings.site,
        "broker": first.destination,
        "cameras": {name: state.model_dump(mode="json", by_alias=True) for name, state in states.items()},
        "parts": {name: group.model_dump(mode="json") for name, group in agent.view_groups().items()},
        "recall": {name: found for name in states if (found := recall_of(call, agent.lines[name]))},
        "recalibrations": {line.name: line.preview for line in agent.lines.values() if line.preview},
        "delivery": delivery.model_dump(mode="json"),
        "outputs": {
            output.name: {"destination": output.destination, "connected": report.connected}
            for output, report in outputs
        },
    }
