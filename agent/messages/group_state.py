"""The state of cameras that see the same part: it follows from theirs."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.records import Phase
from agent.messages.state import StatePayload

# Phases of a camera that a person has to look after; the others pass.
_FAULTY = (Phase.CAMERA_LOST, Phase.BLIND, Phase.REFUSED)


def state_of_group(place: str, states: Sequence[StatePayload]) -> StatePayload:
    """The state of a group: that of its first camera that is faulty, else not armed; ready if all are.

    Args:
        place: of the group, `parts/NAME`.
        states: of its cameras, at least one.
    """
    faulty = [state for state in states if state.phase in _FAULTY]
    first = next((state for state in (*faulty, *states) if state.phase is not Phase.ARMED), states[0])
    ready, products = [state.ready for state in states], {state.product for state in states}
    return first.model_copy(
        update={
            "camera": place,
            "ready": None if None in ready else all(ready),
            "alarm": next((state.alarm for state in states if state.alarm is not None), None),
            "drift": any(state.drift for state in states),
            "product": products.pop() if len(products) == 1 else None,
        }
    )
