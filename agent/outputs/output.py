"""The interface of every destination of alarms. The service and the commands know nothing else of an output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.alarms import EvidenceImage
from agent.core.crop import Crop
from agent.core.durations import Durations
from agent.core.records import Alarm, Part, Region
from agent.messages import (
    CountPayload,
    DeliveryPayload,
    EventPayload,
    Execute,
    JoinedResultPayload,
    ModelPayload,
    RulePayload,
    ScorePayload,
    SnapshotImage,
    StatePayload,
    VerdictPayload,
)
from agent.outputs.outbox import Message, Outbox
from agent.outputs.settings import OutputSection


@dataclass(frozen=True, slots=True)
class AlarmContext:
    """What the verdict behind an alarm was based on."""

    rule: RulePayload | None
    """None, like `calibration`, for a camera that was lost before its first calibration."""
    calibration: str | None
    model: ModelPayload
    engine: str
    crop: Crop | None = None
    """The inspected part of the camera's image; None: all of it."""
    product: str | None = None
    """The product that is inspected; None for a camera without products."""
    window: tuple[int, int] | None = None
    """The 16-bit values that images show black and white, those of the calibration; None: not known."""


@dataclass(frozen=True, slots=True)
class RecordedAlarm:
    """An alarm with everything that an output may send about it."""

    alarm: Alarm
    sequence: int
    """Number of the alarm message, counted by the agent without gaps; the same on every output."""
    site: str
    context: AlarmContext
    regions: Sequence[Region] = ()
    """Hot regions, in pixels of the camera's image."""
    images: Sequence[EvidenceImage] = ()
    """Heatmap, overlay and frame; empty for an alarm that was cleared."""
    epoch: str | None = None
    """Id of the run that gave the number."""
    clock_unsynchronised: bool = False
    """The time of capture is by a clock that no time server had set."""


@dataclass(frozen=True, slots=True)
class RecordedResult:
    """The result of a part with everything that an output may send about it."""

    part: Part
    id: str
    """UUIDv7 of the result."""
    sequence: int
    """Number of the result, counted by the agent without gaps; the same on every output."""
    site: str
    latency_seconds: float
    """From the trigger or the first frame to the result."""
    model: ModelPayload
    engine: str
    epoch: str | None = None
    """Id of the run that gave the number."""
    heatmap: bool = False
    """Its heatmap follows, by `heatmap_message`."""


@dataclass(frozen=True, slots=True)
class PublishedImages:
    """Which of the requested images were sent."""

    sent: dict[str, SnapshotImage] = field(default_factory=dict)
    """Where each image was published, by its name."""
    left_out: list[str] = field(default_factory=list)
    """One line for each image that this output could not send."""


class Output(ABC):
    """One destination. Any thread may call; no method waits for an answer of the destination.

    An output that sends messages (MQTT, a webhook) returns them from `messages_for`; the outbox keeps them until the
    output acknowledges them there. An output that shows a state (a PLC's registers, a lamp) returns none, and shows
    what `publish_state` and `show_result` pass.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        """Name of its rows in the outbox: unique in one agent, and the same after every restart."""
        self.delivery_durations = Durations()
        """From the capture of a frame to the acknowledgement of its alarm."""

    @property
    @abstractmethod
    def destination(self) -> str:
        """Where it delivers to, for log lines and reports: an address without passwords."""

    @abstractmethod
    def start(self) -> None:
        """Begin to connect and to deliver; returns at once, even if the destination does not answer."""

    @abstractmethod
    def stop(self, deadline_seconds: float) -> bool:
        """Deliver what is possible in time, then end; True if the destination knows that the agent has stopped.

        What is not delivered stays in the outbox. Returns after `deadline_seconds` at the latest.
        """

    @abstractmethod
    def messages_for(self, recorded: RecordedAlarm) -> list[Message]:
        """The messages to deliver for this alarm; its document first, then its images."""

    @abstractmethod
    def publish_state(self, state: StatePayload) -> None:
        """Publish the new state of a camera; only the latest counts."""

    @abstractmethod
    def publish_event(self, event: EventPayload) -> None:
        """Publish an event that needs attention, such as drift; kept in memory until it is delivered."""

    @abstractmethod
    def report(self) -> DeliveryPayload:
        """Counts, latency and problems of delivery. Raises Temporary if the outbox cannot be read."""

    # Only some outputs do these; the default is to do nothing.

    def messages_for_verdict(self, verdict: VerdictPayload) -> list[Message]:
        """The messages to deliver when a person has judged an alarm; the outbox keeps them until acknowledged."""
        return []

    def result_message(self, recorded: RecordedResult) -> Message | None:
        """The message to deliver for the result of a part; None for an output that sends none."""
        return None

    def heatmap_message(self, camera: str, identity: str, image: EvidenceImage) -> Message | None:
        """The message to deliver for the heatmap of a part, whose result has this id; None for an output without."""
        return None

    def joined_message(self, joined: JoinedResultPayload) -> Message | None:
        """The message to deliver for a part that several cameras see; None for an output that sends none."""
        return None

    def show_result(self, part: Part) -> None:  # noqa: B027
        """Show the result of a part at once, before it is stored: for a machine that waits for it.

        Called on the inspection thread for every part, in their order, also where results are sent as messages. A part
        that several cameras see follows once it is stored, from another thread: its `camera` is `parts/NAME`.
        """

    def deliver_results(self, outbox: Outbox) -> None:  # noqa: B027
        """Deliver the results of parts from this outbox too; called once, before `start`, where cameras have parts."""

    def publish_score(self, camera: str, captured_monotonic: float, score: Callable[[], ScorePayload]) -> None:  # noqa: B027
        """Publish the telemetry of one frame. `score` builds the payload; it is called only if it is needed now."""

    def publish_count(self, count: CountPayload) -> None:  # noqa: B027
        """Publish the parts of a camera, or of a group of cameras, in numbers; only the latest counts."""

    def publish_images(self, camera: str, images: Sequence[EvidenceImage]) -> PublishedImages:
        """Send the images of a requested snapshot."""
        return PublishedImages()

    def announce_view_groups(self, groups: Mapping[str, Sequence[str]]) -> None:  # noqa: B027
        """Announce the groups of cameras that see the same part, by name, before `announce`, and again where they
        change while the agent runs."""

    def announce(self, cameras: Mapping[str, str]) -> None:  # noqa: B027
        """Announce the cameras of this agent, each with the name of its model; called once, before `start`."""

    def announce_page(self, address: str) -> None:  # noqa: B027
        """The device has a page for browsers at this address; called once, before `start`."""

    def serve_commands(self, execute: Execute) -> None:  # noqa: B027
        """Take commands from the destination, execute each with `execute`, and send the response back."""

    def adopt(self, settings: OutputSection) -> None:  # noqa: B027
        """Take over those settings that can change while the agent runs."""
