"""What all documents share: the base class, timestamps, and reading with a one-line error.

The pydantic models of this folder are the single source of every document: the JSON Schemas, the tables of
`docs/topics.md` and the AsyncAPI document are generated from them (`agent.tools.message_docs`). Documents that the
agent sends may gain fields within a schema version: subscribers ignore fields that they do not know.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Annotated, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from agent.core.errors import Permanent

SCHEMA_DESCRIPTION = "Name and version of the schema of this document."


def utc_text(instant: datetime) -> str:
    """A time in UTC, ISO 8601 with milliseconds and `Z`: `2026-03-01T12:00:00.250Z`."""
    return instant.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[
    AwareDatetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T12:00:00.250Z"]}),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Score = Annotated[FiniteFloat, Field(ge=0)]


class Payload(BaseModel):
    """Base class of the documents: frozen, and serialised in one way."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, validate_by_alias=True, protected_namespaces=())

    def to_bytes(self) -> bytes:
        """The JSON document, UTF-8, without whitespace between tokens."""
        return self.model_dump_json(by_alias=True).encode()


PayloadT = TypeVar("PayloadT", bound=Payload)


def parse(model: type[PayloadT], payload: bytes) -> PayloadT:
    """Read a received document. Raises Permanent with one line where it does not fit the model."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        raise Permanent(f"not a {model.__name__}: {first_fault(error)}") from None


def first_fault(error: ValidationError) -> str:
    """The first error of a validation on one line: the field, what was wanted, and the value that was got.

    An unknown field comes first: its name is often the misspelt one of a field that is missing.
    """
    faults = error.errors(include_url=False, include_context=False)
    fault = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    place = ".".join(str(step) for step in fault["loc"])
    got = f", got {short_text(fault['input'])}" if place else ""
    wanted = str(fault["msg"]).removeprefix("Value error, ")
    return _one_line(f"{place}: {wanted}{got}" if place else wanted)


def short_text(value: object) -> str:
    """A value as text for an error: printable, on one line, 60 characters at most."""
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _one_line(text: str) -> str:
    line = "".join(character if character.isprintable() else "?" for character in text)
    return line if len(line) <= 240 else f"{line[:239]}…"
