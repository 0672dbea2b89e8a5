"""The running agent, as commands see it. The service provides it; commands know nothing else of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from agent.alarms import Evidence
from agent.audit import AuditLog
from agent.commands.live_settings import Reload
from agent.inspection import CameraLine
from agent.messages import StatePayload, ViewGroupPayload
from agent.monitoring import RecentEvents
from agent.outputs import Output, PartLog
from agent.review import Review
from agent.settings import Settings


class RunningAgent(Protocol):
    """Everything that a command may read or change. Any thread may use it."""

    settings: Settings
    """The settings in force."""
    evidence: Evidence
    """Draws the images of a snapshot."""
    audit: AuditLog
    """Who changed what."""
    recent: RecentEvents
    """The latest results and alarms."""
    review: Review
    """Alarms, people's judgements of them, and the state of each promise."""

    @property
    def lines(self) -> Mapping[str, CameraLine]:
        """Each camera with everything that belongs to it, by name."""
        ...

    @property
    def outputs(self) -> Sequence[Output]:
        """Every output, in the order of the settings."""
        ...

    def states(self) -> dict[str, StatePayload]:
        """The current state of each camera, by name."""
        ...

    def view_groups(self) -> dict[str, ViewGroupPayload]:
        """What becomes of the parts that several cameras see, by the name of the group."""
        ...

    @property
    def part_log(self) -> PartLog | None:
        """The latest parts; None where no camera has any."""
        ...

    def pause(self, line: CameraLine) -> None:
        """Stop judging frames of a camera until `resume`, and clear its active alarms.

        Must run on the camera's inspection thread (`CameraLine.call`).
        """
        ...

    def select_product(self, line: CameraLine, name: str) -> None:
        """Judge the next parts of a camera as this product, now and after a restart.

        Raises Permanent where the product is not known or cannot be inspected: then no part is judged. Raises Temporary
        where the disk or an inspection thread fails.
        """
        ...

    def take_bundle(self, line: CameraLine, sha256: str | None) -> None:
        """Replace a camera's bundle by the one that was trained from the page, and inspect with it.

        `sha256`: of the trained bundle; None: put the previous bundle back instead.

        Raises Permanent or EngineError, and changes nothing, where it cannot be written or used.
        """
        ...

    def reload(self) -> Reload:
        """Read the settings again and take over those that can change while the agent runs.

        Raises Permanent, and changes nothing, where they are broken; Temporary where an inspection thread hangs.
        """
        ...
