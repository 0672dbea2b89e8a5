"""The alarm document with its regions and images, and the note about an omitted image."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveInt,
)

from agent.core.records import Alarm, AlarmEvent, AlarmKind, Region
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload, Score, Sha256
from agent.messages.state import ModelPayload, RulePayload

# Value of `clock` in an alarm that was recorded before the clock was set.
UNSYNCHRONISED = "unsynchronised"


class RegionPayload(Payload):
    """A hot rectangle, in pixels of the source image, which is the image `frame`."""

    x: NonNegativeInt = Field(description="Left edge, pixels.")
    y: NonNegativeInt = Field(description="Top edge, pixels.")
    width: PositiveInt = Field(description="Pixels.")
    height: PositiveInt = Field(description="Pixels.")
    peak: Score = Field(description="Highest heatmap value inside; 1.0 is the highest that good parts reach there.")

    @classmethod
    def of(cls, region: Region) -> RegionPayload:
        """The payload of a region; the peak is rounded to four decimals."""
        return cls(x=region.x, y=region.y, width=region.width, height=region.height, peak=round(region.peak, 4))


class ImagePayload(Payload):
    """Where an image of the alarm is published, and how to verify it."""

    topic: str = Field(description="Topic on which it is published.")
    sha256: Sha256 = Field(description="SHA-256 of the image, unless it was shrunk for the broker.")
    media_type: str = Field(examples=["image/png"], description="`image/png` or `image/jpeg`.")
    bytes: NonNegativeInt = Field(description="Size, bytes.")


class CropPayload(Payload):
    """The inspected part of the source image, in its pixels."""

    x: NonNegativeInt = Field(description="Left edge, pixels.")
    y: NonNegativeInt = Field(description="Top edge, pixels.")
    width: PositiveInt = Field(description="Pixels.")
    height: PositiveInt = Field(description="Pixels.")


class AlarmPayload(Payload):
    """An alarm was raised or cleared; both messages carry the same id."""

    schema_id: Literal["inspectd.alarm/1"] = Field(
        default="inspectd.alarm/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(
        description="UUIDv7, the same in raised and cleared; for a defect in an image file or a video, the same "
        "whenever that version of the file is inspected."
    )
    sequence: PositiveInt = Field(description="Counts the alarm messages of this agent, without gaps.")
    event: AlarmEvent = Field(description="Whether the alarm begins or ends.")
    kind: AlarmKind = Field(description="defect: a part looks abnormal. camera: the camera is faulty or lost.")
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera.")
    captured_at: Instant = Field(
        description="When the frame that caused this event was captured; of an image file, the time of its last change."
    )
    frame: NonNegativeInt = Field(description="Index of that frame, counted per camera since the agent started.")
    score: Score = Field(
        description="Latent distance of that frame, 0 where the camera is lost; in cleared, the highest while the "
        "alarm was active."
    )
    threshold: Score | None = Field(
        description="The threshold in force; null, like rule and calibration, where a camera was lost before its first "
        "calibration."
    )
    rule: RulePayload | None = Field(description="The alarm rule in force.")
    calibration: str | None = Field(description="Id of the calibration in force.")
    model: ModelPayload | None = Field(description="The model that scored the frame.")
    engine: str | None = Field(description="Name of the engine that ran the model.")
    regions: list[RegionPayload] = Field(
        default_factory=list, description="Hottest first, 8 at most; in pixels of the image `frame`."
    )
    evidence: dict[str, ImagePayload] = Field(
        default_factory=dict, description="The images, by name: heatmap, overlay, frame."
    )
    reason: str | None = Field(
        default=None,
        description="For kind camera: the fault, in words. In a cleared alarm of either kind: `paused`, where it was "
        "cleared because inspection was paused; `product_changed`, because another product is inspected.",
    )

    origin: str | None = Field(
        default=None,
        description="For kind defect: the file that the frame came from, below the folder; null for live cameras.",
    )
    crop: CropPayload | None = Field(
        default=None,
        description="The part of the image `frame` that is inspected, and that heatmap and overlay show; null: all of "
        "it. With alignment the rectangle around the part, wherever it was found; null in a cleared alarm.",
    )
    epoch: str | None = Field(
        default=None,
        description="Id of the run of the agent that gave the number `sequence`; the two together are never used "
        "twice.",
    )
    clock: Literal["unsynchronised", "corrected"] | None = Field(
        default=None,
        description="unsynchronised: `captured_at` is by a clock that no time server had set, and may be far off. "
        "corrected: the clock was set before the alarm was sent, and `captured_at` is computed from it. null: there "
        "is no such doubt.",
    )
    product: str | None = Field(
        default=None, description="Name of the product that is inspected; null where the camera has no products."
    )

    @classmethod
    def of(
        cls,
        alarm: Alarm,
        *,
        sequence: int,
        site: str,
        product: str | None = None,
        rule: RulePayload | None = None,
        calibration: str | None = None,
        model: ModelPayload | None = None,
        engine: str | None = None,
        regions: list[Region] | tuple[Region, ...] = (),
        crop: CropPayload | None = None,
        evidence: dict[str, ImagePayload] | None = None,
        epoch: str | None = None,
        clock_unsynchronised: bool = False,
    ) -> AlarmPayload:
        """The document of an alarm; `sequence` is the number that the outbox assigned, `regions` hottest first."""
        return cls(
            **_fields_of(alarm),
            sequence=sequence,
            site=site,
            rule=rule,
            product=product,
            calibration=calibration,
            model=model,
            engine=engine,
            regions=[RegionPayload.of(region) for region in regions],
            crop=crop,
            evidence=evidence or {},
            epoch=epoch,
            clock="unsynchronised" if clock_unsynchronised else None,
        )


def _fields_of(alarm: Alarm) -> dict[str, Any]:
    """The fields that document and alarm have in common."""
    names = ("id", "event", "kind", "camera", "captured_at", "frame", "score", "threshold", "reason", "origin")
    return {name: getattr(alarm, name) for name in names}


class OmittedPayload(Payload):
    """An image that was announced in an alarm but not sent, and the reason."""

    schema_id: Literal["inspectd.omitted/1"] = Field(
        default="inspectd.omitted/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(description="Id of the alarm.")
    camera: str = Field(description="Name of the camera.")
    picture: str = Field(examples=["heatmap"], description="Name of the image: heatmap, overlay or frame.")
    reason: str = Field(description="Why it was not sent, in words.")
    bytes: NonNegativeInt = Field(description="Size of the image, bytes.")
    limit_bytes: NonNegativeInt = Field(description="The broker's limit on the size of a packet, bytes.")
