"""docs/architecture.md agrees with the code: its tables, and the files that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_imports import AGENT, ENGINES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def table_of(package: str) -> dict[str, set[str]]:
    """The folders of a package, in the order of the page, each with those that it may import."""
    section = TEXT.split(f"### {package}/\n")[1].split("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|$", section, re.MULTILINE)
    return {folder: set() if below == "–" else set(below.split(", ")) for folder, below in rows}


@pytest.mark.parametrize(("package", "floors"), [("agent", AGENT), ("engines", ENGINES)])
def test_tables_of_folders_are_those_that_are_enforced(package: str, floors: dict[str, set[str]]) -> None:
    table = table_of(package)
    assert table == floors
    assert list(table) == list(floors), "from the top floor to the ground"


def test_files_and_folders_that_are_named_exist() -> None:
    named = set(re.findall(r"(?:agent|engines|calibration|tests|docs)/[\w./-]*\w", TEXT))
    assert len(named) > 50
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_tables_that_are_named_are_where_the_page_has_them() -> None:
    found = re.findall(r"Its row in `(\w+)`, `([\w/.]+)`", TEXT)
    assert len(found) == 5
    for name, path in found:
        assert re.search(rf"^{name}\b", (ROOT / path).read_text("utf-8"), re.MULTILINE), path


def test_every_decision_has_a_number_of_its_own() -> None:
    """Decisions that were written at the same time took the same number."""
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("0*.md"))]
    assert [number for number in numbers if numbers.count(number) > 1] == []
