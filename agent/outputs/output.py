"""What every destination of alarms can do. MQTT is the first; the service knows no more of any of them than this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.alarms import EvidenceImage
from agent.core.crop import Crop
from agent.core.durations import Durations
from agent.core.records import Alarm, Region
from agent.messages import (
    DeliveryPayload,
    EventPayload,
    Execute,
    ModelPayload,
    RulePayload,
    ScorePayload,
    SnapshotImage,
    StatePayload,
)
from agent.outputs.outbox import Message
from agent.outputs.settings import OutputSection


@dataclass(frozen=True, slots=True)
class AlarmContext:
    """How the verdict behind an alarm came about."""

    rule: RulePayload | None
    """None, like `calibration`, for a camera that was lost before its first calibration."""
    calibration: str | None
    model: ModelPayload
    engine: str
    crop: Crop | None = None
    """Where the inspected part of the image lies in the camera's image."""


@dataclass(frozen=True, slots=True)
class RecordedAlarm:
    """An alarm as it is recorded: everything that an output may send of it."""

    alarm: Alarm
    sequence: int
    """One number for each alarm message of the agent, without gaps; the same on every output."""
    site: str
    context: AlarmContext
    regions: Sequence[Region] = ()
    """Hot regions, in pixels of the camera's image."""
    images: Sequence[EvidenceImage] = ()
    """Heatmap, overlay and frame of an alarm that was raised."""


@dataclass(frozen=True, slots=True)
class PublishedImages:
    """What became of images that were asked for."""

    sent: dict[str, SnapshotImage] = field(default_factory=dict)
    """Where each image can be found, by its name."""
    left_out: list[str] = field(default_factory=list)
    """One line for each image that this output could not send."""


class Output(ABC):
    """One destination. Any thread may call; nothing here waits for the destination to answer.

    An output that sends messages (MQTT, a webhook) returns them from `messages_for`: the outbox keeps them until the
    output acknowledges them there. One that shows a state (a PLC's registers, a lamp) returns none and follows
    `publish_state`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        """Names its rows in the outbox; unique in one agent, and the same after every restart."""
        self.delivery_durations = Durations()
        """From the capture of a frame to the acknowledgement of its alarm."""

    @property
    @abstractmethod
    def destination(self) -> str:
        """Where it delivers to, for people: an address without passwords."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect and to deliver; return at once, whether or not the destination answers."""

    @abstractmethod
    def stop(self, deadline_seconds: float) -> bool:
        """Deliver what can be delivered in time, then end; True if the destination was told.

        What is not delivered stays in the outbox. Returns after `deadline_seconds` at the latest.
        """

    @abstractmethod
    def messages_for(self, recorded: RecordedAlarm) -> list[Message]:
        """The messages that must arrive for this alarm; its document first, then its images."""

    @abstractmethod
    def publish_state(self, state: StatePayload) -> None:
        """A camera's state has changed; only the latest counts."""

    @abstractmethod
    def publish_event(self, event: EventPayload) -> None:
        """Something that a person should look into, such as drift; kept in memory until it is delivered."""

    @abstractmethod
    def report(self) -> DeliveryPayload:
        """How delivery stands. Raises Temporary where the outbox cannot be read."""

    # What only some outputs do; by default, nothing.

    def publish_score(self, camera: str, captured_monotonic: float, score: Callable[[], ScorePayload]) -> None:  # noqa: B027
        """Telemetry of one frame. `score` makes the payload; it is called only by an output that wants it now."""

    def publish_images(self, camera: str, images: Sequence[EvidenceImage]) -> PublishedImages:
        """Send the images of a snapshot that somebody asked for."""
        return PublishedImages()

    def announce(self, cameras: Mapping[str, str]) -> None:  # noqa: B027
        """The cameras of this agent, each with the name of its model; once, before `start`."""

    def serve_commands(self, execute: Execute) -> None:  # noqa: B027
        """Take commands from the destination, carry each out with `execute`, and send the response back."""

    def adopt(self, settings: OutputSection) -> None:  # noqa: B027
        """Take over settings that can change while the agent runs."""
