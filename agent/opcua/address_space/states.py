"""The states of a vision system and the transitions between them, by OPC 40100-1, sections 8.2 and 8.3.

No I/O. The agent's phase says which state a camera should be in; the way there leads over the transitions that the
specification has, and each of them is shown and reported.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import NamedTuple

from agent.core.records import Phase


class State(str, Enum):
    """The states of both machines; the last four are those of the automatic mode, within Operational."""

    PREOPERATIONAL = "Preoperational"
    HALTED = "Halted"
    ERROR = "Error"
    INITIALIZED = "Initialized"
    READY = "Ready"
    SINGLE_EXECUTION = "SingleExecution"
    CONTINUOUS_EXECUTION = "ContinuousExecution"

    @property
    def operational(self) -> bool:
        """Whether it is a state of the automatic mode."""
        return self in _AUTOMATIC


_AUTOMATIC = {State.INITIALIZED, State.READY, State.SINGLE_EXECUTION, State.CONTINUOUS_EXECUTION}


class Transition(NamedTuple):
    """One step, with the name that it has in the specification."""

    name: str
    begin: State
    end: State


def _transitions() -> tuple[Transition, ...]:
    preoperational, halted, error = State.PREOPERATIONAL, State.HALTED, State.ERROR
    steps = [
        Transition("PreoperationalToInitializedAuto", preoperational, State.INITIALIZED),
        Transition("PreoperationalToHaltedAuto", preoperational, halted),
        Transition("PreoperationalToErrorAuto", preoperational, error),
        Transition("HaltedToPreoperationalAuto", halted, preoperational),
        Transition("ErrorToPreoperationalAuto", error, preoperational),
        Transition("ErrorToHaltedAuto", error, halted),
        Transition("InitializedToReadyAuto", State.INITIALIZED, State.READY),
        Transition("ReadyToInitializedAuto", State.READY, State.INITIALIZED),
        Transition("ReadyToSingleExecution", State.READY, State.SINGLE_EXECUTION),
        Transition("SingleExecutionToReadyAuto", State.SINGLE_EXECUTION, State.READY),
        Transition("ReadyToContinuousExecutionAuto", State.READY, State.CONTINUOUS_EXECUTION),
        Transition("ContinuousExecutionToReadyAuto", State.CONTINUOUS_EXECUTION, State.READY),
    ]
    for state in State:
        if state.operational:
            steps += [
                Transition("OperationalToPreoperationalAuto", state, preoperational),
                Transition("OperationalToHaltedAuto", state, halted),
                Transition("OperationalToErrorAuto", state, error),
            ]
    return tuple(steps)


TRANSITIONS = _transitions()

# The variants of a transition that a client causes with a method.
CAUSED = {
    "PreoperationalToHaltedAuto": "PreoperationalToHalted",
    "HaltedToPreoperationalAuto": "HaltedToPreoperational",
    "ErrorToPreoperationalAuto": "ErrorToPreoperational",
    "OperationalToHaltedAuto": "OperationalToHalted",
    "ReadyToContinuousExecutionAuto": "ReadyToContinuousExecution",
}


def way(begin: State, end: State) -> list[Transition]:
    """The fewest transitions from one state to another; empty if it is the same.

    >>> [step.name for step in way(State.ERROR, State.READY)]
    ['ErrorToPreoperationalAuto', 'PreoperationalToInitializedAuto', 'InitializedToReadyAuto']
    """
    ways: deque[tuple[State, list[Transition]]] = deque([(begin, [])])
    seen = {begin}
    while ways:
        state, steps = ways.popleft()
        if state is end:
            return steps
        for step in TRANSITIONS:
            if step.begin is state and step.end not in seen:
                seen.add(step.end)
                ways.append((step.end, [*steps, step]))
    raise AssertionError(f"no way from {begin} to {end}")


# A camera without frames, with a fault, or without a threshold that may be used, needs a person.
_FAULTY = (Phase.CAMERA_LOST, Phase.BLIND, Phase.REFUSED)
_WAITING = (Phase.CALIBRATING, Phase.NO_PRODUCT)


def state_of(phase: Phase, *, triggered: bool, ready: bool, busy: bool, stopped: bool) -> State:
    """The state of a camera.

    Args:
        phase: of the agent's state document.
        triggered: parts are announced one by one.
        ready: a trigger would be accepted.
        busy: a job that a client has started has no result yet.
        stopped: a client has stopped the continuous execution, for which the agent is paused.

    >>> state_of(Phase.ARMED, triggered=True, ready=True, busy=False, stopped=False).value
    'Ready'
    """
    if phase in _FAULTY:
        return State.ERROR
    if phase in (Phase.PAUSED, Phase.STOPPED):
        return State.READY if stopped and phase is Phase.PAUSED else State.HALTED
    if phase in _WAITING:
        return State.INITIALIZED
    if phase is not Phase.ARMED:
        return State.PREOPERATIONAL
    if not triggered:
        return State.CONTINUOUS_EXECUTION
    if busy:
        return State.SINGLE_EXECUTION
    return State.READY if ready else State.INITIALIZED
