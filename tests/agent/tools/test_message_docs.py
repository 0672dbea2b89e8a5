"""Schemas, AsyncAPI document and tables against the models and against real documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.messages.alarm import AlarmPayload, RegionPayload
from agent.messages.command import REQUESTS
from agent.tools import message_docs as documents
from tests.support.delivery import document


def test_committed_documents_are_in_step_with_the_models() -> None:
    assert documents.stale() == [], "run: python -m agent.tools.message_docs"
    assert documents.main(["--check"]) == 0


def test_changed_or_left_over_document_is_noticed(tmp_path: Path) -> None:
    for path, text in documents.wanted().items():
        copy = tmp_path / path.relative_to(documents.DIRECTORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    assert documents.stale(tmp_path) == []
    schema, extra = tmp_path / "schemas/alarm.schema.json", tmp_path / "schemas/old.schema.json"
    schema.write_text(schema.read_text().replace("sequence", "number"))
    extra.write_text("{}")
    topics = tmp_path / "topics.md"
    topics.write_text(topics.read_text("utf-8").replace("`captured_at`", "`captured`"), encoding="utf-8")
    assert documents.stale(tmp_path) == [schema, topics, extra]


def schema(name: str) -> dict[str, Any]:
    return json.loads((documents.DIRECTORY / "schemas" / name).read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", sorted((documents.DIRECTORY / "schemas").glob("*.json")), ids=lambda path: path.name)
def test_schema_is_a_valid_schema(path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text("utf-8")))


def test_real_alarm_is_valid_and_broken_ones_are_not() -> None:
    validator = jsonschema.Draft202012Validator(schema("alarm.schema.json"))
    good = json.loads(document("a1", 1).payload)
    validator.validate(good)
    for change in ({"event": "over"}, {"sequence": 0}, {"score": "high"}, {"schema": "inspectd.alarm/2"}):
        assert not validator.is_valid({**good, **change}), change
    assert not validator.is_valid({name: value for name, value in good.items() if name != "id"})
    assert validator.is_valid({**good, "added_later": 1}), "subscribers ignore what they do not know"


@pytest.mark.parametrize("command", sorted(REQUESTS))
def test_request_schema_refuses_unknown_fields(command: str) -> None:
    validator = jsonschema.Draft202012Validator(schema(documents.file_name(REQUESTS[command])))
    validator.validate({})
    assert not validator.is_valid({"sudo": True})


def test_asyncapi_refers_only_to_what_it_holds() -> None:
    api = json.loads((documents.DIRECTORY / "asyncapi.json").read_text("utf-8"))
    assert api["asyncapi"].startswith("3.")
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(api)):
        place: Any = api
        for step in reference.split("/"):
            place = place[step]
    for channel in api["channels"].values():
        assert set(channel["parameters"]) == set(re.findall(r"{(\w+)}", channel["address"]))


def test_every_field_of_an_alarm_is_in_the_table() -> None:
    text = (documents.DIRECTORY / "topics.md").read_text("utf-8")
    for name, field in AlarmPayload.model_fields.items():
        assert f"| `{field.alias or name}` |" in text
    assert RegionPayload.model_fields.keys() == {"x", "y", "width", "height", "peak"}


def test_tables_show_the_values_of_an_enum_and_the_meaning_of_every_field() -> None:
    tables = documents.tables()
    assert '| `event` | `"raised"` or `"cleared"` |' in tables["alarm"]
    assert '| `status` | `"online"`, `"offline"` or `"stopped"` |' in tables["status"]
    for name in tables.keys() - {"topics", "commands"}:
        assert "| – |" not in tables[name], name


def test_examples_of_the_documentation_are_well_formed() -> None:
    text = (documents.DIRECTORY / "topics.md").read_text("utf-8")
    for language, code in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if language == "json":
            json.loads(code)
        if language == "python":
            compile(code, "topics.md", "exec")
