"""What subscribers read, made from the models: JSON Schemas, the AsyncAPI document, the tables of `docs/topics.md`.

`python -m agent.tools.message_docs` writes them, `python -m agent.tools.message_docs --check` says which of them are
out of step.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from agent.messages import (
    REQUESTS,
    RESULTS,
    AlarmPayload,
    CommandResponse,
    EventPayload,
    OmittedPayload,
    ScorePayload,
    StatePayload,
    StatusPayload,
)

DIRECTORY = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic."""

    name: str
    address: str
    """Below `inspectd/{site}`."""
    messages: tuple[type[BaseModel], ...]
    """Empty for a picture."""
    qos: int
    retained: bool
    says: str
    media_types: tuple[str, ...] = ("application/json",)
    from_agent: bool = True


CHANNELS = (
    Channel(
        "status", "status", (StatusPayload,), 1, True, "The agent: `online`, `offline` (its last will), `stopped`."
    ),
    Channel("state", "{camera}/state", (StatePayload,), 1, True, "A camera: phase, threshold, model, rates."),
    Channel("alarm", "{camera}/alarm", (AlarmPayload,), 1, False, "An alarm is raised, or cleared: same `id`."),
    Channel(
        "heatmap", "{camera}/alarm/{id}/heatmap", (), 1, False, "Where the model looked; fixed colours.", ("image/png",)
    ),
    Channel("overlay", "{camera}/alarm/{id}/overlay", (), 1, False, "The frame with heat and boxes.", ("image/jpeg",)),
    Channel("frame", "{camera}/alarm/{id}/frame", (), 1, False, "The frame itself, 8 bit.", ("image/jpeg",)),
    Channel(
        "omitted",
        "{camera}/alarm/{id}/omitted",
        (OmittedPayload,),
        1,
        False,
        "A picture that the broker has no room for, and why.",
    ),
    Channel(
        "event", "{camera}/event", (EventPayload,), 1, False, "To be looked after, such as drift; the line may go on."
    ),
    Channel(
        "snapshot",
        "{camera}/snapshot/{picture}",
        (),
        1,
        True,
        "A picture that the command `snapshot` asked for: heatmap (PNG), overlay or frame (JPEG).",
        ("image/jpeg",),
    ),
    Channel("score", "{camera}/score", (ScorePayload,), 0, False, "Telemetry: a score now and then."),
    Channel(
        "command",
        "{camera}/command/{name}",
        tuple(REQUESTS.values()),
        1,
        False,
        "A request; without `{camera}` it is for the agent. Never retained.",
        from_agent=False,
    ),
    Channel(
        "response",
        "{camera}/response/{name}",
        (CommandResponse,),
        1,
        False,
        "The answer, where the request named no response topic.",
    ),
)

_PARAMETERS = {
    "site": "Name of the site, from the settings.",
    "camera": "Name of the camera, from the settings.",
    "id": "Id of the alarm, UUIDv7.",
    "name": "Name of the command.",
    "picture": "heatmap, overlay or frame.",
}


class _Schema(GenerateJsonSchema):
    """JSON Schema 2020-12 with its dialect named."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode=mode)}


def models() -> Iterator[type[BaseModel]]:
    """Every document on the wire, once."""
    yield from dict.fromkeys(model for channel in CHANNELS for model in channel.messages)


def files() -> dict[str, str]:
    """Path below `docs/` and content of every generated file, `topics.md` excepted."""
    schemas = {f"schemas/{file_name(model)}": _json(_schema_of(model)) for model in models()}
    return {**schemas, "asyncapi.json": _json(asyncapi())}


def file_name(model: type[BaseModel]) -> str:
    """`alarm.schema.json` for `AlarmPayload`, `request-calibration-rollback.schema.json` for a command."""
    command = getattr(model, "command", None)
    if isinstance(command, str):
        return f"request-{command.replace('/', '-')}.schema.json"
    return f"{model.model_fields['schema_id'].default.split('.')[1].split('/')[0]}.schema.json"


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    mode = "validation" if model in REQUESTS.values() else "serialization"
    return model.model_json_schema(by_alias=True, schema_generator=_Schema, mode=mode)  # type: ignore[arg-type]


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    requests = set(REQUESTS.values())
    modes = [(model, "validation" if model in requests else "serialization") for model in models()]
    _, schemas = models_json_schema(modes, by_alias=True, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "inspectd",
            "version": version("inspectd"),
            "description": "Alarms of a visual inspector, with pictures, over MQTT 5. See docs/topics.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "broker.example:8883", "protocol": "secure-mqtt", "protocolVersion": "5.0"}},
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {_operation_name(channel): _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {name: message for channel in CHANNELS for name, message in _messages(channel).items()},
            "schemas": schemas["$defs"],
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    address = f"inspectd/{{site}}/{channel.address}"
    return {
        "address": address,
        "description": channel.says,
        "parameters": {name: {"description": _PARAMETERS[name]} for name in re.findall(r"{(\w+)}", address)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(channel)},
    }


def _messages(channel: Channel) -> dict[str, Any]:
    if not channel.messages:
        payload = {"type": "string", "format": "binary"}
        return {channel.name: {"contentType": channel.media_types[0], "summary": channel.says, "payload": payload}}
    return {
        model.__name__: {
            "contentType": "application/json",
            "summary": _first_line(model),
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for model in channel.messages
    }


def _operation_name(channel: Channel) -> str:
    return f"{'send' if channel.from_agent else 'receive'}-{channel.name}"


def _operation(channel: Channel) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": "send" if channel.from_agent else "receive",
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }
    if not channel.from_agent:
        operation["reply"] = {
            "address": {"location": "$message.header#/responseTopic"},
            "channel": {"$ref": "#/channels/response"},
        }
    return operation


def tables() -> dict[str, str]:
    """The generated parts of `topics.md`, by name."""
    fields = {
        file_name(model).split(".")[0]: _field_table(model) for model in models() if model not in REQUESTS.values()
    }
    results = {f"result-{command}": _field_table(model) for command, model in RESULTS.items()}
    return {"topics": _topic_table(), "commands": _command_table(), **fields, **results}


def _topic_table() -> str:
    head = "| topic | QoS | retained | content | what it says |\n|---|---|---|---|---|\n"
    return head + "".join(map(_topic_row, CHANNELS))


def _topic_row(channel: Channel) -> str:
    topic = _for_people(f"inspectd/{{site}}/{channel.address}")
    retained = "yes" if channel.retained else "no"
    return f"| `{topic}` | {channel.qos} | {retained} | {channel.media_types[0]} | {_for_people(channel.says)} |\n"


def _for_people(text: str) -> str:
    return re.sub(r"{(\w+)}", r"<\1>", text)


def _field_table(model: type[BaseModel]) -> str:
    schema = _schema_of(model)
    head = "| field | type | meaning |\n|---|---|---|\n"
    rows = (
        f"| `{name}` | {_type_name(field, schema)} | {_meaning(field)} |\n"
        for name, field in schema["properties"].items()
    )
    return head + "".join(rows)


def _command_table() -> str:
    head = "| command | what it does | fields |\n|---|---|---|\n"
    return head + "".join(
        f"| `{name}` | {_first_line(model)} | {_own_fields(model) or '–'} |\n"
        for name, model in sorted(REQUESTS.items())
    )


def _own_fields(model: type[BaseModel]) -> str:
    schema = _schema_of(model)
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
        return f"list of {_type_name(field['items'], schema)}"
    return "time" if field.get("format") == "date-time" else str(field.get("type", "any"))


def _meaning(field: dict[str, Any]) -> str:
    return str(field.get("description", "")).replace("|", "\\|") or "–"


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def filled(text: str) -> str:
    """`topics.md` with its generated parts as they should be; raises `KeyError` for a part that nobody makes."""
    parts = tables()

    def part(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n{parts[match[1]]}<!-- end -->"

    return re.sub(r"<!-- generated: ([\w-]+) -->\n.*?<!-- end -->", part, text, flags=re.DOTALL)


def wanted(directory: Path = DIRECTORY) -> dict[Path, str]:
    """Every generated file with the content that it should have."""
    topics = directory / "topics.md"
    return {
        **{directory / name: content for name, content in files().items()},
        topics: filled(topics.read_text("utf-8")),
    }


def stale(directory: Path = DIRECTORY) -> list[Path]:
    """Files that are missing, out of step, or schemas of documents that are no more."""
    expected = wanted(directory)
    old = [path for path, text in expected.items() if not path.exists() or path.read_text("utf-8") != text]
    return old + [path for path in sorted((directory / "schemas").glob("*")) if path not in expected]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agent.tools.message_docs", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where something is out of step")
    check = parser.parse_args(arguments).check
    old = stale()
    for path in old:
        print(f"{path}: out of step with agent/messages/base.py" if check else f"writing {path}", file=sys.stderr)  # noqa: T201
    if check:
        return int(bool(old))
    expected = wanted()
    for path in old:
        if path in expected:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(expected[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
