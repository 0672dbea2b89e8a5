"""What the agent publishes over MQTT: pydantic models, the one source of every document; commands: `command_payloads`.

The JSON Schemas, the tables of `docs/topics.md` and the AsyncAPI document are generated from these classes
(`agent.tools.message_docs`). What the agent sends may gain fields within a schema version: a subscriber ignores fields
it does not know.
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
