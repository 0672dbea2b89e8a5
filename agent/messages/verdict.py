"""A person's judgement of an alarm."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload


class VerdictPayload(Payload):
    """A person has judged an alarm, or changed the judgement."""

    schema_id: Literal["inspectd.verdict/1"] = Field(
        default="inspectd.verdict/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(description="Id of the alarm.")
    number: PositiveInt = Field(
        description="Counts the judgements of this agent: of two about one alarm, the higher one counts. A repeated "
        "delivery has the same."
    )
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera.")
    verdict: Literal["true", "false"] = Field(
        description="true: the part was bad, or the camera faulty. false: a false alarm."
    )
    by: str = Field(description="Name of the person.")
    at: Instant = Field(description="When it was judged.")
    note: str | None = Field(default=None, description="A remark.")
    kind: str | None = Field(default=None, description="Kind of the defect, in the words of the person.")
    raised_at: Instant = Field(description="When the frame that raised the alarm was captured.")
    origin: str | None = Field(default=None, description="The file that the frame came from; null for live cameras.")
