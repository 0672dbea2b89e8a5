"""JSON Schemas and the AsyncAPI 3.0 document, generated from the payload models."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from agent.tools.message_docs.channels import CHANNELS, PARAMETERS, REQUESTS, Channel, payload_models


class _Schema(GenerateJsonSchema):
    """JSON Schema 2020-12 that names its dialect."""

    def generate(self, schema: Any, mode: Any = "validation") -> dict[str, Any]:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode=mode)}


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of a document: of a request as the agent reads it, of anything else as the agent writes it."""
    mode = _mode(model)
    return model.model_json_schema(by_alias=True, schema_generator=_Schema, mode=mode)  # type: ignore[arg-type]


def schema_file_name(model: type[BaseModel]) -> str:
    """`alarm.schema.json` for `AlarmPayload`, `request-calibration-rollback.schema.json` for a command."""
    command = getattr(model, "command", None)
    if isinstance(command, str):
        return f"request-{command.replace('/', '-')}.schema.json"
    return f"{model.model_fields['schema_id'].default.split('.')[1].split('/')[0]}.schema.json"


def summary_of(model: type[BaseModel]) -> str:
    """The first paragraph of the model's docstring, on one line."""
    return " ".join((model.__doc__ or "").strip().split("\n\n")[0].split())


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    modes = [(model, _mode(model)) for model in payload_models()]
    _, schemas = models_json_schema(modes, by_alias=True, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "inspectd",
            "version": version("inspectd"),
            "description": "Alarms of a visual inspection agent, with images, over MQTT 5. See docs/topics.md.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": {"host": "broker.example:8883", "protocol": "secure-mqtt", "protocolVersion": "5.0"}},
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {f"{_action(channel)}-{channel.name}": _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {name: message for channel in CHANNELS for name, message in _messages(channel).items()},
            "schemas": schemas["$defs"],
        },
    }


def _mode(model: type[BaseModel]) -> str:
    return "validation" if model in REQUESTS.values() else "serialization"


def _channel(channel: Channel) -> dict[str, Any]:
    address = f"inspectd/{{site}}/{channel.address}"
    return {
        "address": address,
        "description": channel.description,
        "parameters": {name: {"description": PARAMETERS[name]} for name in re.findall(r"{(\w+)}", address)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _messages(channel)},
    }


def _messages(channel: Channel) -> dict[str, Any]:
    if not channel.messages:
        payload = {"type": "string", "format": "binary"}
        return {channel.name: {"contentType": channel.media_type, "summary": channel.description, "payload": payload}}
    return {
        model.__name__: {
            "contentType": "application/json",
            "summary": summary_of(model),
            "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        }
        for model in channel.messages
    }


def _action(channel: Channel) -> str:
    return "send" if channel.from_agent else "receive"


def _operation(channel: Channel) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "action": _action(channel),
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retained, "bindingVersion": "0.2.0"}},
    }
    if not channel.from_agent:
        operation["reply"] = {
            "address": {"location": "$message.header#/responseTopic"},
            "channel": {"$ref": "#/channels/response"},
        }
    return operation
