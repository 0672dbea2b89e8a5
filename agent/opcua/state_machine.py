"""Drives the state machine of one camera: variables, and an event for each transition."""

from __future__ import annotations

from typing import Any

from asyncua import ua

from agent.opcua.address_space.events import FAULT, INFORMATION, Events, Fields
from agent.opcua.address_space.model import SystemNodes
from agent.opcua.address_space.states import CAUSED, State, Transition, way

_MACHINE = "VisionStateMachine"
_AUTOMATIC = f"{_MACHINE}/AutomaticModeStateMachine"

# SystemStateDataType, the states of SEMI E10.
_SYSTEM_STATES = {
    State.SINGLE_EXECUTION: (1, "productive"),
    State.CONTINUOUS_EXECUTION: (1, "productive"),
    State.READY: (2, "standby"),
    State.INITIALIZED: (3, "engineering"),
    State.PREOPERATIONAL: (3, "engineering"),
    State.HALTED: (4, "scheduled downtime"),
    State.ERROR: (5, "unscheduled downtime"),
}


class StateMachine:
    """Goes from state to state over the transitions of the specification."""

    def __init__(self, nodes: SystemNodes, events: Events) -> None:
        self._nodes = nodes
        self._events = events
        self.state = State.PREOPERATIONAL

    async def begin(self) -> None:
        """Show the first state."""
        await self._show()

    async def go(self, state: State, reason: str = "", *, caused: bool = False) -> bool:
        """Go to a state; returns whether it is another one.

        Args:
            state: the wanted one.
            reason: why, for people.
            caused: a client has caused it with a method.
        """
        steps = way(self.state, state)
        for step in steps:
            await self._step(step, reason, caused=caused)
        return bool(steps)

    async def _step(self, step: Transition, reason: str, *, caused: bool) -> None:
        self.state = step.end
        await self._show()
        name = CAUSED.get(step.name, step.name) if caused else step.name
        fields = self._fields(step, name)
        message = f"{step.begin.value} to {step.end.value}" + (f": {reason}" if reason else "")
        await self._events.send("StateChangedEventType", message, INFORMATION, fields)
        if step.end is State.ERROR:
            await self._events.send("ErrorEventType", reason or "error", FAULT, fields)
        elif step.begin is State.ERROR:
            await self._events.send("ErrorResolvedEventType", message, INFORMATION, fields)

    def _fields(self, step: Transition, name: str) -> Fields:
        fields: dict[str, tuple[Any, ua.VariantType]] = {}
        for field, value in (("Transition", name), ("FromState", step.begin.value), ("ToState", step.end.value)):
            fields[field] = (ua.LocalizedText(value), ua.VariantType.LocalizedText)
            fields[f"{field}/Id"] = (self._nodes.model.state_node(value), ua.VariantType.NodeId)
        return fields

    async def _show(self) -> None:
        state = self.state
        await self._write(_MACHINE, "Operational" if state.operational else state.value)
        await self._write(_AUTOMATIC, state.value if state.operational else None)
        number, text = _SYSTEM_STATES[state]
        described = ua.SystemStateDescriptionDataType(State=ua.SystemStateDataType(number), StateDescription=text)
        await self._nodes.write("SystemState", described, ua.VariantType.ExtensionObject)

    async def _write(self, machine: str, state: str | None) -> None:
        """The state of a machine; None: it is not active."""
        status = ua.StatusCodes.Good if state is not None else ua.StatusCodes.BadStateNotActive
        text = None if state is None else ua.LocalizedText(state)
        node = None if state is None else self._nodes.model.state_node(state)
        await self._nodes.write(f"{machine}/CurrentState", text, ua.VariantType.LocalizedText, status)
        await self._nodes.write(f"{machine}/CurrentState/Id", node, ua.VariantType.NodeId, status)
