"""The result of a part that several cameras see."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from agent.core.records import NotJudged, Part, PartVerdict
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload, Score
from agent.messages.count import ShiftCountPayload


class ViewPayload(Payload):
    """What one camera found about the part; its own result has everything else."""

    camera: str = Field(description="Name of the camera.")
    result: str = Field(description="Id of its result, UUIDv7.")
    verdict: PartVerdict = Field(description="Its verdict.")
    reason: NotJudged | None = Field(description="Why it was not judged; null where it was.")
    score: Score | None = Field(description="Highest score of its frames; null where it was not judged.")
    threshold: Score | None = Field(description="The threshold in force; null until calibrated.")
    product: str | None = Field(default=None, description="The product that it was judged as; null without products.")
    frames: NonNegativeInt = Field(description="How many of its frames were judged.")
    captured_at: Instant = Field(description="When its first frame was captured, or the trigger arrived.")
    alarm: str | None = Field(default=None, description="For nok: id of the alarm that is active; null without one.")
    announced: bool = Field(default=False, description="A trigger gave the id of the part.")

    @classmethod
    def of(cls, part: Part, identity: str) -> ViewPayload:
        """The view of a part by its camera; `identity` is the id of its result."""
        return cls(
            camera=part.camera,
            result=identity,
            verdict=part.verdict,
            reason=part.reason,
            score=part.score,
            threshold=part.threshold,
            product=part.product,
            frames=part.frames,
            captured_at=part.captured_at,
            alarm=part.alarm,
            announced=part.announced,
        )


class JoinedResultPayload(Payload):
    """The result of a part that several cameras see: one for each part that one of them had a result for."""

    schema_id: Literal["inspectd.joined_result/1"] = Field(
        default="inspectd.joined_result/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(description="UUIDv7; a repeated delivery has the same.")
    sequence: PositiveInt = Field(description="Counts the results of this group of cameras, without gaps.")
    epoch: str = Field(
        description="Id of the run of the agent that gave the number `sequence`; the two together are never used twice."
    )
    site: str = Field(description="Name of the site.")
    group: str = Field(description="Name of the group of cameras, from the section `[parts.NAME]`.")
    part: str = Field(description="Id of the part, as in the results of the cameras.")
    product: str | None = Field(description="The product, where all views were judged as the same one; else null.")
    verdict: PartVerdict = Field(
        description="nok: one view is nok. ok: all views are ok. not_judged: no view is nok, and one is missing or was "
        "not judged."
    )
    reason: NotJudged | None = Field(
        description="Why the part was not judged; null where it was. view_missing: a camera had no result in time. "
        "Else the reason of the first view that was not judged."
    )
    missing: list[str] = Field(description="The cameras that had no result in time; also where another view is nok.")
    views: list[ViewPayload] = Field(description="The views that came in time, in the order of the settings.")
    captured_at: Instant = Field(description="The earliest time of capture of its views.")
    latency_ms: NonNegativeFloat = Field(
        description="From the trigger or the capture of the first view to this result, milliseconds; after a restart "
        "of the agent in between, from the restart."
    )


class ViewGroupPayload(Payload):
    """Cameras that see the same part, in the answer to `status`."""

    cameras: list[str] = Field(description="Their names.")
    waiting: NonNegativeInt = Field(description="Parts that wait for a view.")
    late_views: NonNegativeInt = Field(
        description="Results of cameras that came after the joined result, since the agent started."
    )
    shift_parts: ShiftCountPayload = Field(description="The joined parts of the current shift.")
    latest: JoinedResultPayload | None = Field(
        default=None, description="The latest joined result since the agent started; null before the first."
    )
