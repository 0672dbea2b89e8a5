"""User-visible text keeps to the glossary in CONTRIBUTING.md: one word for one thing.

Checked are the help texts of the command line, the sentences in string literals of our packages (errors, log lines,
descriptions of settings and payloads), and the documents. Names in `backticks` are contracts and may be any word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import typer

from agent.cli.app import build_app

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "engines", "calibration")
DOCUMENTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "Makefile",
    "pyproject.toml",
    "inspectd.example.toml",
    "fleet.example.toml",
    "packaging/debian/control",
    "packaging/debian/postinst",
    "packaging/debian/postrm",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")),
)

# Words of the glossary's last column that are good English elsewhere: what exactly is meant. All others are refused in
# every form, as `mend`, `mends`, `mended`, `mending`.
FORMS = {
    "door": r"doors?(?! (sensor|switch))",
    "heat": r"(the|its|of|where the|hot|with) heat\b(?! map)",
    "line alone": None,
    "open": r"open alarms?|alarms? (is|are|that is|that are) (still )?open",
    "piece": r"(a|the|each|every|good|bad|this|one) pieces?",
    "refuse": r"(?<!connection )refus(e|es|ed|al|als|ing)",
    "say": r"says|said|saying",
    "sound": r"sound (parts?|images?|frames?|ones?)",
    "standing": r"(alarms?|alarm that|one that|still) (stands?|standing)|standing alarms?",
    "tell": r"(is|are|was|were|be|being) told|tells|telling",
    "well": r"(is|are|was|be|not|camera) well\b(?! (below|above|within|known|formed))",
    "whole": r"whole (parts?|ones?)",
}

# Contract names that stand in sentences without backticks.
CONTRACT_NAMES = ("outbox.sqlite.pictures",)

# SQL, and lists of columns.
_NO_SENTENCE = re.compile(
    r"\s*((ALTER|BEGIN|CREATE|DELETE|DROP|INSERT|PRAGMA|REPLACE|SELECT|UPDATE|WITH|VALUES|WHERE)\b|\w+(, \w+)+\s*$)"
)


@dataclass(frozen=True)
class Text:
    """A piece of user-visible text, and where it is."""

    place: str
    line: int
    text: str


def glossary() -> dict[str, str]:
    """The word to use, by the word not to use: from the table in CONTRIBUTING.md."""
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Glossary")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in section.splitlines() if row.startswith("|")]
    words = {}
    for word, _, avoided in rows[2:]:
        for bad in filter(None, map(str.strip, re.sub(r"\(.*?\)", "", avoided).split(","))):
            words[bad] = re.sub(r"\s*\(.*?\)", "", word)
    return words


@lru_cache
def patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """For each word not to use, its pattern and the word to use."""
    found = []
    for bad, good in glossary().items():
        form = FORMS.get(bad, rf"{bad}(s|es|d|ed|ing)?")
        if form is not None:
            found.append((re.compile(rf"(?<![\w-])({form})(?![\w-])", re.IGNORECASE), good))
    return tuple(found)


def faults(texts: Iterator[Text]) -> list[str]:
    """A line for each word that the glossary refuses."""
    lines = []
    for text in texts:
        visible = re.sub(r"`[^`]*`", "``", text.text)
        for name in CONTRACT_NAMES:
            visible = visible.replace(name, "")
        for pattern, good in patterns():
            for match in pattern.finditer(visible):
                line = text.line + visible.count("\n", 0, match.start())
                around = " ".join(visible[max(0, match.start() - 40) : match.end() + 30].split())
                lines.append(f"{text.place}:{line}: {match[0]!r}, wanted {good!r}: … {around} …")
    return lines


def sentences(path: Path) -> Iterator[Text]:
    """String literals of a Python file that have more than one word, except docstrings and SQL."""
    tree = ast.parse(path.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            # What is filled in is one word, of whatever kind.
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | parts:
            text = node.value
        else:
            continue
        if " " in text.strip() and not _NO_SENTENCE.match(text):
            yield Text(str(path.relative_to(ROOT)), node.lineno, text)


def prose(path: Path) -> Iterator[Text]:
    """A document without its fenced code, of which comments remain; without HTML comments and targets of links."""
    fenced = False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        text = line.partition("# ")[2] if fenced else re.sub(r"<!--.*?-->|\]\(.*?\)", "", line)
        if path.name == "CONTRIBUTING.md" and text.startswith("|"):
            continue
        yield Text(str(path.relative_to(ROOT)), number, text)


def help_texts(command: Any, name: str = "inspectd") -> Iterator[Text]:
    """Of a command with its options, and of all below it."""
    yield Text(f"{name} --help", 1, command.help or "")
    for parameter in command.params:
        yield Text(f"{name} --help, {parameter.name}", 1, getattr(parameter, "help", None) or "")
    for sub, below in getattr(command, "commands", {}).items():
        yield from help_texts(below, f"{name} {sub}")


def folders() -> list[str]:
    """Every folder of our packages that holds Python files."""
    found = {path.parent.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    return sorted(map(str, found))


def listed(lines: list[str]) -> str:
    return "words that the glossary refuses:\n" + "\n".join(lines)


def test_glossary_refuses_words_and_every_form_belongs_to_one() -> None:
    assert len(glossary()) > 10
    assert set(FORMS) <= set(glossary())


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("the command that mends it", ["mends"]),
        ("3 pictures in out/", ["pictures"]),
        ("whoever asks", ["whoever"]),
        ("the user is told", ["is told"]),
        ("the camera is not well", ["not well"]),
        ("the alarm still stands", ["still stands"]),
        ("command refused: unknown", ["refused"]),
        ("`dropped_pictures` and dropped_pictures, well below 3 patients", []),
        ("no image of a workpiece is open, the heatmap stands apart", []),
    ],
)
def test_words_are_found_in_their_forms_and_contract_names_are_not(text: str, wanted: list[str]) -> None:
    lines = faults(iter([Text("x", 1, text)]))
    assert [line.split("'")[1] for line in lines] == wanted


def test_help_of_the_command_line_keeps_to_the_glossary() -> None:
    lines = faults(help_texts(typer.main.get_command(build_app())))
    assert not lines, listed(lines)


@pytest.mark.parametrize("folder", folders())
def test_sentences_of_the_code_keep_to_the_glossary(folder: str) -> None:
    lines = [line for path in sorted((ROOT / folder).glob("*.py")) for line in faults(sentences(path))]
    assert not lines, listed(lines)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_document_keeps_to_the_glossary(document: str) -> None:
    lines = faults(prose(ROOT / document))
    assert not lines, listed(lines)
