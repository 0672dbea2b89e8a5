"""The states of groups of cameras that see the same part: they follow from those of their cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.core.records import Phase, place_of_group
from agent.messages import StatePayload


class GroupStates:
    """For outputs that show a group beside its cameras. Any thread may call."""

    def __init__(self) -> None:
        self._groups: Mapping[str, tuple[str, ...]] = {}
        self._states: dict[str, StatePayload] = {}

    def announce(self, groups: Mapping[str, Sequence[str]]) -> None:
        """Take over the cameras of each group, by its name."""
        self._groups = {place_of_group(name): tuple(cameras) for name, cameras in groups.items()}

    @property
    def places(self) -> tuple[str, ...]:
        """The places of the groups, `parts/NAME`."""
        return tuple(self._groups)

    def cameras(self, place: str) -> tuple[str, ...]:
        """The cameras of a group; of a camera, itself."""
        return self._groups.get(place, (place,))

    def latest(self, camera: str) -> StatePayload | None:
        """The latest state of a camera; None before the first."""
        return self._states.get(camera)

    def take(self, state: StatePayload) -> list[StatePayload]:
        """Take in the state of a camera; it, and that of its group once the states of all its cameras are known."""
        self._states[state.camera] = state
        found = [state]
        for place, cameras in self._groups.items():
            states = [self._states[camera] for camera in cameras if camera in self._states]
            if state.camera in cameras and len(states) == len(cameras):
                found.append(state_of_group(place, states))
        return found


def state_of_group(place: str, states: Sequence[StatePayload]) -> StatePayload:
    """The state of cameras that see the same part: that of the first one that is not armed; ready if all are."""
    first = next((state for state in states if state.phase is not Phase.ARMED), states[0])
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
