"""Documents are wrapped as the code is: a change of one sentence is a change of few lines."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_CHARACTERS = 120

# Folders with documents of ours; others hold packages and what the make targets made.
FOLDERS = ("benchmarks", "docs", "tests")
DOCUMENTS = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]


def long_lines(text: str) -> list[int]:
    """Numbers of the lines that could be shorter: rows of tables, links to images and code cannot."""
    found, code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        if len(line) > MOST_CHARACTERS and not code and not line.startswith(("|", "![")):
            found.append(number)
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_line_of_a_document_is_long(path: Path) -> None:
    assert long_lines(path.read_text("utf-8")) == [], f"wanted at most {MOST_CHARACTERS} characters"


def test_the_check_sees_long_lines_outside_of_tables_and_code() -> None:
    long = 121 * "x"
    text = f"{long}\n|{long}|\n```\n{long}\n```\n![{long}]({long})\n- {long}\n{120 * 'x'}\n"
    assert long_lines(text) == [1, 7]
