"""Writes the documents for subscribers: JSON Schemas, the AsyncAPI document, the tables of `docs/topics.md`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from agent.tools.message_docs.channels import payload_models
from agent.tools.message_docs.schemas import asyncapi, schema_file_name, schema_of
from agent.tools.message_docs.tables import message_tables

DIRECTORY = Path(__file__).parents[3] / "docs"


def current_documents(directory: Path = DIRECTORY) -> dict[Path, str]:
    """Path and content of every generated document. `topics.md` keeps its text; its tables are replaced."""
    schemas = {directory / "schemas" / schema_file_name(model): _json(schema_of(model)) for model in payload_models()}
    topics = directory / "topics.md"
    return {
        **schemas,
        directory / "asyncapi.json": _json(asyncapi()),
        topics: with_tables(topics.read_text("utf-8")),
    }


def outdated_documents(directory: Path = DIRECTORY) -> list[Path]:
    """Documents that are missing or out of date, and schemas of documents that no longer exist."""
    current = current_documents(directory)
    outdated = [path for path, text in current.items() if not path.exists() or path.read_text("utf-8") != text]
    return outdated + [path for path in sorted((directory / "schemas").glob("*")) if path not in current]


def with_tables(text: str) -> str:
    """`text` of `topics.md` with current tables. Raises KeyError for a table that does not exist."""
    tables = message_tables()

    def table(match: re.Match[str]) -> str:
        return f"<!-- generated: {match[1]} -->\n{tables[match[1]]}<!-- end -->"

    return re.sub(r"<!-- generated: ([\w-]+) -->\n.*?<!-- end -->", table, text, flags=re.DOTALL)


def main(arguments: list[str] | None = None) -> int:
    """Write the documents, or check them; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m agent.tools.message_docs", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a document is out of date")
    check = parser.parse_args(arguments).check
    outdated = outdated_documents()
    for path in outdated:
        print(f"{path}: out of date; run make docs" if check else f"writing {path}", file=sys.stderr)  # noqa: T201
    if check:
        return int(bool(outdated))
    _write(outdated)
    return 0


def _write(outdated: list[Path]) -> None:
    current = current_documents()
    for path in outdated:
        if path in current:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(current[path], encoding="utf-8")
        else:
            path.unlink()


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
