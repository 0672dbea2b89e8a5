"""The parts of a shift in numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class PartNumbersPayload(Payload):
    """Parts by verdict. A result that is delivered twice counts once."""

    ok: NonNegativeInt = Field(description="Parts whose score is not above the threshold.")
    nok: NonNegativeInt = Field(description="Parts whose score is above the threshold.")
    not_judged: NonNegativeInt = Field(description="Parts of which nothing is known.")
    first_pass_yield: Share | None = Field(
        description="Share of ok among the parts that were judged, each by its first verdict: a part that a trigger "
        "announces again counts once. Null before the first judged part."
    )


class ProductCountPayload(PartNumbersPayload):
    """The parts of one product."""

    product: str | None = Field(description="Name of the product; null where the camera has no products.")


class ShiftCountPayload(PartNumbersPayload):
    """The parts of a camera in one shift."""

    start: Instant = Field(description="When the shift began.")
    end: Instant = Field(description="When it ends.")


class ShiftPayload(ShiftCountPayload):
    """The parts of a camera in one shift, also for each product."""

    products: list[ProductCountPayload] = Field(
        default_factory=list, description="The same for each product that had parts."
    )


class CountPayload(Payload):
    """The parts of a camera, or of a group of cameras, in this shift and in the one before. Retained."""

    schema_id: Literal["inspectd.count/1"] = Field(
        default="inspectd.count/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera; `parts/NAME` for a group of cameras that see the same part.")
    cameras: list[str] | None = Field(
        default=None, description="Of a group of cameras: their names. Null for a camera."
    )
    at: Instant = Field(description="When this document was written.")
    shift: ShiftPayload = Field(description="The current shift.")
    previous: ShiftPayload | None = Field(
        default=None, description="The latest earlier shift that had parts; null where none is known."
    )
