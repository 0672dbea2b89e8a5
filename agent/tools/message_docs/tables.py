"""The tables of `docs/topics.md`, generated from the payload models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from agent.tools.message_docs.channels import CHANNELS, REQUESTS, RESULTS, Channel, payload_models
from agent.tools.message_docs.schemas import schema_file_name, schema_of, summary_of


def message_tables() -> dict[str, str]:
    """Every table as Markdown, by the name that `topics.md` has for it."""
    documents = (model for model in payload_models() if model not in REQUESTS.values())
    fields = {schema_file_name(model).split(".")[0]: _field_table(model) for model in documents}
    results = {f"result-{command}": _field_table(model) for command, model in RESULTS.items()}
    return {"topics": _topic_table(), "commands": _command_table(), **fields, **results}


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return next(lines) + "|" + "---|" * len(head) + "\n" + "".join(lines)


def _topic_table() -> str:
    return _table(("topic", "QoS", "retained", "content", "meaning"), map(_topic_row, CHANNELS))


def _topic_row(channel: Channel) -> tuple[str, ...]:
    topic = _with_brackets(f"inspectd/{{site}}/{channel.address}")
    retained = "yes" if channel.retained else "no"
    return f"`{topic}`", str(channel.qos), retained, channel.media_type, _with_brackets(channel.description)


def _with_brackets(text: str) -> str:
    """`{camera}` as `<camera>`."""
    return re.sub(r"{(\w+)}", r"<\1>", text)


def _field_table(model: type[BaseModel]) -> str:
    schema = schema_of(model)
    fields = schema["properties"].items()
    rows = ((f"`{name}`", _type_name(field, schema), _meaning(field)) for name, field in fields)
    return _table(("field", "type", "meaning"), rows)


def _command_table() -> str:
    rows = ((f"`{name}`", summary_of(model), _request_fields(model) or "–") for name, model in sorted(REQUESTS.items()))
    return _table(("command", "effect", "fields"), rows)


def _request_fields(model: type[BaseModel]) -> str:
    """The fields of this request, without those that all requests have."""
    schema = schema_of(model)
    return "<br>".join(
        f"`{name}` ({_type_name(field, schema)}): {_meaning(field)}"
        for name, field in schema["properties"].items()
        if name not in ("schema", "id")
    )


def _type_name(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type of a field for people: the values of an enum, the name of a document; `schema` has the definitions."""
    if "anyOf" in field:
        return " or ".join(_type_name(option, schema) for option in field["anyOf"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        *others, last = (f"`{json.dumps(value)}`" for value in field["enum"])
        return f"{', '.join(others)} or {last}" if others else last
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        definition = schema["$defs"][name]
        return _type_name(definition, schema) if "enum" in definition else name.removesuffix("Payload").lower()
    if field.get("type") == "array":
        # The items of a pair are listed apart.
        items = field["items"] if "items" in field else field["prefixItems"][0]
        return f"list of {_type_name(items, schema)}"
    return "time" if field.get("format") == "date-time" else str(field.get("type", "any"))


def _meaning(field: dict[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|") or "–"
