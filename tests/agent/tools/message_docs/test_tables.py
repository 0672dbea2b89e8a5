"""The generated tables of `docs/topics.md`."""

from __future__ import annotations

import re

import pytest

from agent.messages.alarm import AlarmPayload, RegionPayload
from agent.tools.message_docs.channels import REQUESTS
from agent.tools.message_docs.documents import DIRECTORY, with_tables
from agent.tools.message_docs.tables import message_tables


def test_every_field_of_an_alarm_is_in_the_table() -> None:
    text = (DIRECTORY / "topics.md").read_text("utf-8")
    for name, field in AlarmPayload.model_fields.items():
        assert f"| `{field.alias or name}` |" in text
    assert RegionPayload.model_fields.keys() == {"x", "y", "width", "height", "peak"}


def test_tables_show_the_values_of_an_enum() -> None:
    tables = message_tables()
    assert '| `event` | `"raised"` or `"cleared"` |' in tables["alarm"]
    assert '| `status` | `"online"`, `"offline"` or `"stopped"` |' in tables["status"]


def test_every_field_has_a_meaning() -> None:
    tables = message_tables()
    for name in tables.keys() - {"topics", "commands"}:
        assert "| – |" not in tables[name], name


def test_every_command_is_in_its_table() -> None:
    commands = re.findall(r"^\| `([\w/]+)` \|", message_tables()["commands"], re.MULTILINE)
    assert commands == sorted(REQUESTS)


@pytest.mark.parametrize("name", sorted(message_tables()))
def test_rows_of_a_table_have_as_many_cells_as_its_head(name: str) -> None:
    rows = [re.sub(r"\\\|", "", row) for row in message_tables()[name].splitlines()]
    assert {row.count("|") for row in rows} == {rows[0].count("|")}


def test_page_with_an_unknown_table_is_an_error() -> None:
    with pytest.raises(KeyError, match="weights"):
        with_tables("<!-- generated: weights -->\n<!-- end -->")
