"""The generated documents against the payload models."""

from __future__ import annotations

import json
import re
from pathlib import Path

from agent.tools.message_docs.documents import DIRECTORY, current_documents, main, outdated_documents


def test_committed_documents_are_up_to_date() -> None:
    assert outdated_documents() == [], "run: make docs"
    assert main(["--check"]) == 0


def test_changed_and_left_over_documents_are_outdated(tmp_path: Path) -> None:
    for path, text in current_documents().items():
        copy = tmp_path / path.relative_to(DIRECTORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(text, encoding="utf-8")
    assert outdated_documents(tmp_path) == []
    schema, extra = tmp_path / "schemas/alarm.schema.json", tmp_path / "schemas/old.schema.json"
    schema.write_text(schema.read_text().replace("sequence", "number"))
    extra.write_text("{}")
    topics = tmp_path / "topics.md"
    topics.write_text(topics.read_text("utf-8").replace("`captured_at`", "`captured`"), encoding="utf-8")
    assert outdated_documents(tmp_path) == [schema, topics, extra]


def test_examples_of_the_documentation_are_well_formed() -> None:
    text = (DIRECTORY / "topics.md").read_text("utf-8")
    for language, code in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if language == "json":
            json.loads(code)
        if language == "python":
            compile(code, "topics.md", "exec")
