"""JSON Schemas and AsyncAPI document against real documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.tools.message_docs.channels import REQUESTS
from agent.tools.message_docs.documents import DIRECTORY
from agent.tools.message_docs.schemas import schema_file_name
from tests.support.delivery import document


def schema(name: str) -> dict[str, Any]:
    return json.loads((DIRECTORY / "schemas" / name).read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", sorted((DIRECTORY / "schemas").glob("*.json")), ids=lambda path: path.name)
def test_schema_is_valid_json_schema(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))


def test_alarm_of_the_agent_is_valid_and_changed_ones_are_not() -> None:
    validator = jsonschema.Draft202012Validator(schema("alarm.schema.json"))
    good = json.loads(document("a1", 1).payload)
    validator.validate(good)
    for change in ({"event": "over"}, {"sequence": 0}, {"score": "high"}, {"schema": "inspectd.alarm/2"}):
        assert not validator.is_valid({**good, **change}), change
    assert not validator.is_valid({name: value for name, value in good.items() if name != "id"})
    assert validator.is_valid({**good, "added_later": 1}), "subscribers ignore unknown fields"


@pytest.mark.parametrize("command", sorted(REQUESTS))
def test_request_schema_rejects_unknown_fields(command: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(schema_file_name(REQUESTS[command])))
    needed = {"alarm": "0195", "verdict": "true", "part": "SN1", "event": "login", "person": "anna"}
    needed |= {"image": "0195", "width": 640, "height": 480, "result": "0195e0a0-7c1e-7000-8000-000000000000"}
    least = {name: needed[name] for name, field in REQUESTS[command].model_fields.items() if field.is_required()}
    validator.validate(least)
    assert not validator.is_valid({**least, "sudo": True})


def test_asyncapi_document_is_complete() -> None:
    api = json.loads((DIRECTORY / "asyncapi.json").read_text("utf-8"))
    assert api["asyncapi"].startswith("3.")
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(api)):
        place: Any = api
        for step in reference.split("/"):
            place = place[step]
    for channel in api["channels"].values():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))
