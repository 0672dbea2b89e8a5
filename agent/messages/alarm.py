"""The alarm document, its regions and images."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
)

from agent.core.records import Alarm, AlarmEvent, AlarmKind, Region
from agent.messages.base import Instant, Payload, Score, Sha256
from agent.messages.state import ModelPayload, RulePayload


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
    event: AlarmEvent
    kind: AlarmKind
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
