"""The states of groups of cameras that see the same part: they follow from those of their cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.core.records import place_of_group
from agent.messages import StatePayload, state_of_group


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
