"""What a command may ask of the running agent. The service provides it; handlers know no more of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.alarms import Evidence
from agent.commands.reload import Reload
from agent.inspection import CameraLine
from agent.messages import StatePayload
from agent.outputs import Output
from agent.settings import Settings


class RunningAgent(Protocol):
    """The running agent, as commands see it."""

    settings: Settings
    evidence: Evidence
    """Draws the images of a snapshot."""

    @property
    def lines(self) -> Mapping[str, CameraLine]:
        """Each camera with everything that belongs to it, by name."""
        ...

    @property
    def outputs(self) -> Sequence[Output]:
        """Every output, in the order of the settings."""
        ...

    def states(self) -> dict[str, StatePayload]:
        """The state of each camera, by name."""
        ...

    def pause(self, line: CameraLine) -> None:
        """Stop judging frames of a camera until `resume`, and clear its active alarms; on its inspection thread."""
        ...

    def reload(self) -> Reload:
        """Read the settings again and take over those that can change. Raises Permanent or Temporary."""
        ...
