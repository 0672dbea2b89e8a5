"""What the agent publishes over MQTT: pydantic models, the one source of every document; commands: `command_payloads`.

The JSON Schemas, the tables of `docs/topics.md` and the AsyncAPI document are generated from these classes
(`agent.tools.message_docs`). What the agent sends may gain fields within a schema version: a subscriber ignores fields
it does not know.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from enum import Enum
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    ValidationError,
    WithJsonSchema,
)

from agent.core.errors import Permanent
from agent.core.records import Alarm, Event, Kind, Phase, Region


def utc_text(instant: datetime) -> str:
    """UTC, ISO 8601, milliseconds, `Z`: `2026-03-01T12:00:00.250Z`."""
    return instant.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T12:00:00.250Z"]}),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[FiniteFloat, Field(ge=0)]


class Payload(BaseModel):
    """What all documents share: frozen, and written the same way everywhere."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, protected_namespaces=())

    def to_bytes(self) -> bytes:
        """The JSON document, UTF-8, without blanks."""
        return self.model_dump_json(by_alias=True).encode()


class Presence(str, Enum):
    """Whether the agent is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


class LatencyPayload(Payload):
    """Percentiles of a duration, over the last 10,000 events at most."""

    p50: NonNegativeFloat = Field(description="Median, milliseconds.")
    p95: NonNegativeFloat = Field(description="95th percentile, milliseconds.")
    p99: NonNegativeFloat = Field(description="99th percentile, milliseconds.")


class OutboxPayload(Payload):
    """What waits on the agent's disk, and what was lost there."""

    waiting: NonNegativeInt = Field(description="Messages accepted and not yet acknowledged by the broker.")
    waiting_bytes: NonNegativeInt = Field(description="Their size on disk, bytes.")
    sequence: NonNegativeInt = Field(description="The sequence number accepted last; 0 before the first alarm.")
    dropped_pictures: NonNegativeInt = Field(description="Pictures dropped for want of disk quota, ever.")
    dropped_alarms: NonNegativeInt = Field(description="Alarm messages dropped for want of disk quota, ever.")
    dead_letters: NonNegativeInt = Field(description="Messages that the broker refused for good, ever.")
    omitted_pictures: NonNegativeInt = Field(description="Pictures too big for the broker's packet limit, since start.")
    missing: list[NonNegativeInt] = Field(
        default_factory=list,
        description="The latest sequence numbers (100 at most) that will never arrive: dropped or refused.",
    )


class DeliveryPayload(Payload):
    """How delivery stands, for `inspectd status`."""

    connected: bool = Field(description="The broker let the agent in.")
    outbox: OutboxPayload
    latency_ms: LatencyPayload | None = Field(default=None, description="Capture of the frame to its alarm's PUBACK.")
    problems: list[str] = Field(default_factory=list)


class StatusPayload(Payload):
    """The agent itself: online, offline (its last will), or stopped on purpose. Retained."""

    schema_id: Literal["inspectd.status/1"] = Field(default="inspectd.status/1", alias="schema")
    status: Presence
    site: str
    version: str = Field(description="Version of inspectd.")
    at: Instant | None = Field(
        default=None, description="When this was written; null in the last will, which the broker publishes."
    )
    connected_at: Instant = Field(description="When the connection that this is about was opened.")
    outbox: OutboxPayload | None = Field(default=None, description="Null in the last will.")
    delivery_ms: LatencyPayload | None = Field(
        default=None, description="Capture of the frame to the broker's PUBACK of its alarm; null before the first."
    )
    problems: list[str] = Field(default_factory=list, description="What is wrong with the agent, one line each.")


class ModelPayload(Payload):
    """Which model judged."""

    name: str
    sha256: Sha256 = Field(description="Of the bundle's manifest: the identity of the bundle.")


class RulePayload(Payload):
    """k of n: the alarm stands when the k-th largest of the last n scores is above the threshold."""

    k: PositiveInt
    n: PositiveInt


class ProgressPayload(Payload):
    """How far the window of good frames is filled."""

    frames: NonNegativeInt
    wanted: PositiveInt


class StatePayload(Payload):
    """One camera: what the agent does with it. Retained; the latest one counts."""

    schema_id: Literal["inspectd.state/1"] = Field(default="inspectd.state/1", alias="schema")
    site: str
    camera: str
    at: Instant = Field(description="When this was written.")
    phase: Phase
    reason: str | None = Field(default=None, description="Why it is in this phase, in words, where that helps.")
    threshold: Score | None = Field(default=None, description="Null until calibrated.")
    rule: RulePayload | None = None
    calibration: str | None = Field(default=None, description="Id of the active calibration.")
    promise: str | None = Field(default=None, description="What the calibration promises, in words.")
    model: ModelPayload | None = None
    engine: str | None = Field(default=None, description="Name of the engine that runs the model.")
    engine_reason: str | None = Field(default=None, description="Why it is this engine, in words.")
    frames: NonNegativeInt = Field(default=0, description="Frames judged since start.")
    dropped: NonNegativeInt = Field(default=0, description="Frames that a live camera delivered and nobody judged.")
    frames_per_second: NonNegativeFloat = Field(default=0.0, description="Frames judged a second, lately.")
    latency_ms: LatencyPayload | None = Field(default=None, description="Capture of a frame to its verdict.")
    progress: ProgressPayload | None = Field(default=None, description="Of a calibration under way, else null.")
    drift: bool = Field(default=False, description="The scores of good parts have shifted: recalibrate soon.")
    shift: FiniteFloat | None = Field(
        default=None, description="While they have: how far, in standard deviations of a good score."
    )
    alarm: str | None = Field(default=None, description="Id of the alarm that stands, else null.")


class RegionPayload(Payload):
    """A hot rectangle, in pixels of the source image."""

    x: NonNegativeInt = Field(description="Left edge, pixels.")
    y: NonNegativeInt = Field(description="Top edge, pixels.")
    width: PositiveInt = Field(description="Pixels.")
    height: PositiveInt = Field(description="Pixels.")
    peak: Score = Field(description="Highest heat inside; 1.0 is as hot as good parts ever get at that place.")

    @classmethod
    def of(cls, region: Region) -> RegionPayload:
        return cls(x=region.x, y=region.y, width=region.width, height=region.height, peak=round(region.peak, 4))


class PicturePayload(Payload):
    """Where a picture of the alarm is published, and how to check it."""

    topic: str
    sha256: Sha256 = Field(description="Of the picture as it was accepted.")
    media_type: str = Field(examples=["image/png"])
    bytes: NonNegativeInt


class AlarmPayload(Payload):
    """One end of an alarm: raised or cleared, both with the same id."""

    schema_id: Literal["inspectd.alarm/1"] = Field(default="inspectd.alarm/1", alias="schema")
    id: str = Field(description="UUIDv7, the same in raised and cleared.")
    sequence: PositiveInt = Field(description="Counts the alarm messages of this agent, without gaps.")
    event: Event
    kind: Kind
    site: str
    camera: str
    captured_at: Instant = Field(description="When the frame behind this event was captured.")
    frame: NonNegativeInt = Field(description="Its index: frames of this camera since the agent started.")
    score: Score = Field(
        description="Latent distance of that frame, 0 where none came; in cleared, the highest while the alarm stood."
    )
    threshold: Score | None = Field(
        description="The threshold in force; null, as rule and calibration, where a camera was lost before it had one."
    )
    rule: RulePayload | None
    calibration: str | None = Field(description="Id of the calibration.")
    model: ModelPayload | None
    engine: str | None
    regions: list[RegionPayload] = Field(default_factory=list, description="Hottest first, 8 at most.")
    evidence: dict[str, PicturePayload] = Field(default_factory=dict, description="By name: heatmap, overlay, frame.")
    reason: str | None = Field(
        default=None,
        description="For kind camera: what is wrong with it, in words. In a cleared of either kind: `paused`, "
        "where it was cleared because nobody looks any more.",
    )

    @classmethod
    def of(
        cls,
        alarm: Alarm,
        *,
        sequence: int,
        site: str,
        rule: RulePayload | None = None,
        calibration: str | None = None,
        model: ModelPayload | None = None,
        engine: str | None = None,
        regions: list[Region] | tuple[Region, ...] = (),
        evidence: dict[str, PicturePayload] | None = None,
    ) -> AlarmPayload:
        """The document of a record; `sequence` is the one that the outbox assigned."""
        return cls(
            id=alarm.id,
            sequence=sequence,
            event=alarm.event,
            kind=alarm.kind,
            site=site,
            camera=alarm.camera,
            captured_at=alarm.captured_at,
            frame=alarm.frame,
            score=alarm.score,
            threshold=alarm.threshold,
            rule=rule,
            calibration=calibration,
            model=model,
            engine=engine,
            regions=[RegionPayload.of(region) for region in regions],
            evidence=evidence or {},
            reason=alarm.reason,
        )


class OmittedPayload(Payload):
    """A picture that was not sent as the alarm announced it, and why."""

    schema_id: Literal["inspectd.omitted/1"] = Field(default="inspectd.omitted/1", alias="schema")
    id: str = Field(description="Of the alarm.")
    camera: str
    picture: str = Field(examples=["heatmap"])
    reason: str
    bytes: NonNegativeInt = Field(description="Size of the picture.")
    limit_bytes: NonNegativeInt = Field(description="What the broker takes in one packet.")


class ScorePayload(Payload):
    """Telemetry: the score of one frame, QoS 0, rate limited, lost while the broker is away."""

    schema_id: Literal["inspectd.score/1"] = Field(default="inspectd.score/1", alias="schema")
    camera: str
    captured_at: Instant
    frame: NonNegativeInt
    score: Score
    statistic: Score = Field(description="What is compared with the threshold: the k-th largest of the last n scores.")
    threshold: Score | None = Field(description="Null until calibrated.")


class EventPayload(Payload):
    """Something about a camera that somebody should look after; never a reason to stop the line."""

    schema_id: Literal["inspectd.event/1"] = Field(default="inspectd.event/1", alias="schema")
    id: str = Field(description="UUIDv7; a repeated delivery has the same.")
    event: Literal["drift", "engine"] = Field(
        description="drift: the good scores have moved, `state` says so until they are back. "
        "engine: the one that `auto` would take was refused, and another one runs."
    )
    site: str
    camera: str
    at: Instant = Field(description="Capture of the frame that showed it; of an engine, when it was refused.")
    shift: FiniteFloat | None = Field(
        default=None,
        description="Of drift: how far the mean of the latest good scores lies off the calibration's, in standard "
        "deviations.",
    )
    calibration: str | None = Field(default=None, description="Of drift: id of the calibration in force.")
    text: str = Field(description="The same for a person.")


PayloadT = TypeVar("PayloadT", bound=Payload)


def parse(model: type[PayloadT], payload: bytes) -> PayloadT:
    """A received document as `model`; raises `Permanent` with one line where it is not one."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise Permanent(f"not a {model.__name__}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """What a document is not taken for: place, what was wanted and what was got, short, on one line."""
    fault = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(step) for step in fault["loc"])
    got = f", got {shown(fault['input'])}" if place else ""
    return _one_line(f"{place}: {fault['msg']}{got}" if place else fault["msg"])


def shown(value: object) -> str:
    """A value for an error line: short, printable, on one line."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _one_line(text: str) -> str:
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= 240 else f"{line[:239]}…"
