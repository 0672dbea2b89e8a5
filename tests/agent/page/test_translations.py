"""Every language has the same texts, with the same places for values, and the page uses no others."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from agent.core.records import NotJudged, PartVerdict, Phase

PAGE = Path(__file__).parents[3] / "agent" / "page"
FILES = sorted((PAGE / "translations").glob("*.json"))
ENGLISH = json.loads((PAGE / "translations" / "en.json").read_text("utf-8"))
SCRIPTS = {path: path.read_text("utf-8") for path in (PAGE / "static").rglob("*.js") if path.parent.name != "uplot"}

# Keys that a script completes with a value: the part before it.
PREFIXES = {prefix for text in SCRIPTS.values() for prefix in re.findall(r"\bt\(`([\w.]+)\.\$\{", text)}


def test_there_are_three_languages_at_least() -> None:
    assert {"de", "en", "ko"} <= {path.stem for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_language_has_every_text_with_its_values(path: Path) -> None:
    texts = json.loads(path.read_text("utf-8"))
    assert list(texts) == list(ENGLISH)
    for key, text in texts.items():
        assert text.strip() == text != "", key
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", ENGLISH[key])), key


def test_text_that_a_script_uses_exists() -> None:
    for path, text in SCRIPTS.items():
        for key in re.findall(r"\bt\(\"([\w.]+)\"", text):
            assert key in ENGLISH, f"{path.name}: {key}"
        for key in re.findall(r"\bcount\(\"([\w.]+)\"", text):
            assert {f"{key}.one", f"{key}.other"} <= set(ENGLISH), f"{path.name}: {key}"


def test_every_phase_and_reason_has_a_text() -> None:
    """Scripts complete these keys with what the agent reports."""
    assert {f"phase.{phase.value}" for phase in Phase} <= set(ENGLISH)
    assert {f"not_judged.{reason.value}" for reason in NotJudged} <= set(ENGLISH)
    assert {f"parts.{verdict.value}" for verdict in PartVerdict} <= set(ENGLISH)


def test_text_that_exists_is_used() -> None:
    used = "\n".join(SCRIPTS.values())
    for key in ENGLISH:
        stem = re.sub(r"\.(one|other)$", "", key)
        known = f'"{key}"' in used or f'"{stem}"' in used or any(key.startswith(f"{prefix}.") for prefix in PREFIXES)
        assert known, key
