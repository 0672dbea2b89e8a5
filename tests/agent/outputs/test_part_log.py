"""The latest parts are found by what people know of them, and the oldest ones go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.core.records import Code, NotJudged, Part, PartVerdict
from agent.outputs import PartFilter, PartLog
from agent.outputs.outbox import Outbox

AT = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)

# By id: camera, verdict, score, product, code.
PARTS: dict[str, tuple[str, str, float | None, str | None, str | None]] = {
    "SN1": ("line1", "ok", 0.5, "A", None),
    "SN2": ("line1", "nok", 3.0, "A", "4711"),
    "SN_3": ("line2", "not_judged", None, "B", None),
    "sn4": ("parts/p1", "ok", 1.0, "B", None),
}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PartLog]:
    outbox = Outbox(tmp_path / "results.sqlite")
    made = PartLog(outbox, most=10)
    assert made.find(PartFilter(), 10) == [], "before the first part"
    for number, part in enumerate(PARTS):
        note(made, outbox, part, f"r{number}", number)
    yield made
    outbox.close()


def note(log: PartLog, outbox: Outbox, name: str, identity: str, minutes: int) -> None:
    camera, verdict, score, product, code = PARTS[name]
    part = Part(
        part=name,
        camera=camera,
        verdict=PartVerdict(verdict),
        reason=NotJudged.BLIND if score is None else None,
        score=score,
        threshold=2.0,
        calibration=None,
        frames=1,
        frame=1,
        captured_at=AT + timedelta(minutes=minutes),
        started_monotonic=0.0,
        product=product,
        code=None if code is None else Code(code),
    )
    outbox.add_following(lambda db: log.noting(part, identity)(db) or [])


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, ["sn4", "SN_3", "SN2", "SN1"]),
        ({"camera": "line1"}, ["SN2", "SN1"]),
        ({"camera": "parts/p1"}, ["sn4"]),
        ({"verdict": "not_judged"}, ["SN_3"]),
        ({"product": "B"}, ["sn4", "SN_3"]),
        ({"part": "SN"}, ["sn4", "SN_3", "SN2", "SN1"]),
        ({"part": "_3"}, ["SN_3"]),
        ({"part": "%"}, []),
        ({"part": "471"}, ["SN2"]),
        ({"since": AT + timedelta(minutes=2)}, ["sn4", "SN_3"]),
        ({"until": AT + timedelta(minutes=1)}, ["SN1"]),
        ({"score_from": 1.0}, ["sn4", "SN2"]),
        ({"score_to": 0.9}, ["SN1"]),
        ({"before": 3}, ["SN2", "SN1"]),
    ],
)
def test_parts_are_found(log: PartLog, where: dict[str, Any], found: list[str]) -> None:
    assert [part["part"] for part in log.find(PartFilter(**where), 10)] == found


def test_a_part_that_is_judged_again_is_there_once_and_the_oldest_go(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "results.sqlite")
    log = PartLog(outbox, most=3)
    for number, name in enumerate(("SN1", "SN2", "SN1", "SN_3", "sn4")):
        note(log, outbox, name, name, number)
    found = log.find(PartFilter(), 10)
    assert [(part["part"], part["number"]) for part in found] == [("sn4", 5), ("SN_3", 4), ("SN1", 3)]
    assert found[2]["captured_at"] == "2026-03-01T12:02:00.000Z"
    outbox.close()
