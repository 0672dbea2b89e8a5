"""The result of one part."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from agent.core.records import NotJudged, Part, PartVerdict
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload, Score
from agent.messages.state import ModelPayload


class CodePayload(Payload):
    """The code on a part."""

    text: str | None = Field(description="Its text, 1 to 128 printable characters; null where none was read.")
    problem: str | None = Field(description="Why none was read, in words; null where one was.")


class ResultPayload(Payload):
    """The result of one part. Every part has one, also where it was not judged."""

    schema_id: Literal["inspectd.result/1"] = Field(
        default="inspectd.result/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(description="UUIDv7; a repeated delivery has the same.")
    sequence: PositiveInt = Field(description="Counts the results of this agent, without gaps.")
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera.")
    part: str = Field(
        description="Id of the part: that of the trigger, else its code, else the file of its first frame, else the "
        "time of its first frame."
    )
    product: str | None = Field(
        default=None, description="Name of the product that it was judged as; null where the camera has no products."
    )
    verdict: PartVerdict = Field(
        description="ok: the score is not above the threshold. nok: it is. not_judged: nothing is known about the part."
    )
    reason: NotJudged | None = Field(
        default=None,
        description="Why the part was not judged; null where it was. calibrating: there is no threshold yet. "
        "uncertified: it has no certificate, and the settings require one. paused: by a command. no_product: "
        "the product was not known, or could not be inspected, or was being loaded. blind: the camera was faulty. "
        "part_not_found: it is not in the image, or lies further away than the model's alignment allows. "
        "late: no frame came within the time for a result, or all its frames were dropped, since they arrive faster "
        "than they are scored. stopped: the agent was stopped. view_missing: only in joined results.",
    )
    score: Score | None = Field(description="Highest score of its frames; null where it was not judged.")
    threshold: Score | None = Field(description="The threshold in force; null until calibrated.")
    calibration: str | None = Field(description="Id of the calibration in force.")
    model: ModelPayload | None = Field(default=None, description="The model that scored the frames.")
    engine: str | None = Field(default=None, description="Name of the engine that ran the model.")
    frames: NonNegativeInt = Field(description="How many of its frames were judged.")
    frame: NonNegativeInt | None = Field(
        description="Index of its first frame, counted per camera since the agent started; null where none was found."
    )
    captured_at: Instant = Field(
        description="When its first frame was captured; where none was found, when the trigger arrived."
    )
    latency_ms: NonNegativeFloat = Field(
        description="From the trigger, or from the capture of its first frame, to this result, milliseconds."
    )
    origin: str | None = Field(
        default=None, description="The file of its first frame, below the folder; null for live cameras."
    )
    code: CodePayload | None = Field(
        default=None, description="The code that was read from its frames; null where the settings have none."
    )
    alarm: str | None = Field(default=None, description="For nok: id of the alarm that is active; null without one.")

    epoch: str | None = Field(
        default=None,
        description="Id of the run of the agent that gave the number `sequence`; the two together are never used "
        "twice.",
    )
    heatmap: str | None = Field(
        default=None,
        description="For ok: the topic on which its heatmap follows, or the id of that message; null for a part that "
        "the sample of `ok_heatmap_every` does not include.",
    )

    @classmethod
    def of(
        cls,
        part: Part,
        *,
        identity: str,
        sequence: int,
        site: str,
        latency_seconds: float,
        model: ModelPayload | None = None,
        engine: str | None = None,
        epoch: str | None = None,
        heatmap: str | None = None,
    ) -> ResultPayload:
        """The document of a part; `sequence` is the number that the outbox assigned."""
        return cls(
            id=identity,
            sequence=sequence,
            epoch=epoch,
            site=site,
            camera=part.camera,
            part=part.part,
            product=part.product,
            verdict=part.verdict,
            reason=part.reason,
            score=part.score,
            threshold=part.threshold,
            calibration=part.calibration,
            model=model,
            engine=engine,
            frames=part.frames,
            frame=part.frame,
            captured_at=part.captured_at,
            latency_ms=round(max(0.0, latency_seconds) * 1000.0, 3),
            origin=part.origin,
            alarm=part.alarm,
            code=None if part.code is None else CodePayload(text=part.code.text, problem=part.code.problem),
            heatmap=heatmap,
        )
