"""What a command needs of the running agent. The service has it; handlers know no more of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.alarms import Evidence
from agent.commands.reload import Reload
from agent.inspection import CameraLine
from agent.messages import StatePayload
from agent.outputs.mqtt import Publisher, Topics
from agent.settings import Settings


class RunningAgent(Protocol):
    """The running agent, as commands see it."""

    settings: Settings
    topics: Topics
    publisher: Publisher
    evidence: Evidence

    @property
    def lines(self) -> Mapping[str, CameraLine]:
        """Each camera with everything that belongs to it, by name."""
        ...

    def states(self) -> dict[str, StatePayload]:
        """The state of each camera, by name."""
        ...

    def pause(self, line: CameraLine) -> None:
        """Stop judging frames of a camera until `resume`; on its inspection thread."""
        ...

    def reload(self) -> Reload:
        """Read the settings again and take over what can change live. Raises Permanent or Temporary."""
        ...
