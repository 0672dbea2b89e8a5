"""Messages of agents as lines and files."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.core.records import PAUSED, AlarmEvent, AlarmKind, Part, PartVerdict
from agent.messages.alarm import AlarmPayload
from agent.messages.event import drift_event
from agent.messages.result import ResultPayload
from agent.messages.status import Presence, StatusPayload
from agent.messages.verdict import VerdictPayload
from agent.tools.watcher import Watcher
from tests.support.delivery import AT, TOPICS, alarm_record, document


def test_repeated_alarm_is_printed_once() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    message = document("a1", 1)
    for _ in range(3):
        watcher.take(message.topic, message.payload)
    assert len(lines) == 1
    assert "score 3.5 over threshold 2" in lines[0]


def test_event_is_printed_once() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    event = drift_event("e1", "plant", "cam", -0.8, "c1", AT)
    for _ in range(2):
        watcher.take(TOPICS.event("cam"), event.to_bytes())
    assert len(lines) == 1
    assert "cam  DRIFT  good parts score 0.8 standard deviations lower" in lines[0]


def test_camera_alarm_is_printed_with_its_reason() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    for event in AlarmEvent:
        alarm = replace(alarm_record("a1", event=event), kind=AlarmKind.CAMERA, reason="black: no light, wanted 70 %")
        payload = AlarmPayload.of(alarm, sequence=1, site="plant")
        watcher.take(TOPICS.alarm(alarm.camera), payload.to_bytes())
    assert "RAISED   camera: black: no light, wanted 70 %" in lines[0]
    assert "cleared  camera: no longer black" in lines[1]
    assert "score" not in lines[1]


def test_invalid_message_is_a_line_and_writes_nothing_outside_the_folder(tmp_path: Path) -> None:
    lines: list[str] = []
    out = tmp_path / "out"
    watcher = Watcher(lines.append, out=out)
    watcher.take("inspectd/plant/cam/alarm", b"{}")
    watcher.take("inspectd/plant/cam/alarm", b"\xff")
    watcher.take("inspectd/plant/../alarm/../heatmap", b"x")
    evil = document("../../evil", 1, camera="cam").payload.replace(b'"camera":"cam"', b'"camera":"\\u001b[31m/.."')
    watcher.take(TOPICS.alarm("cam"), evil)
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 3
    assert {path.relative_to(out).parts[0] for path in out.rglob("*") if path.is_file()} <= {"_", "__31m_"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_alarm_cleared_by_a_pause_is_printed_as_paused() -> None:
    lines: list[str] = []
    alarm = replace(alarm_record("a1", event=AlarmEvent.CLEARED), reason=PAUSED)
    Watcher(lines.append).take(TOPICS.alarm("cam"), AlarmPayload.of(alarm, sequence=1, site="plant").to_bytes())
    assert lines[0].endswith("#1  cleared  defect: the camera is paused")


def test_result_is_saved_as_a_line_once(tmp_path: Path) -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append, out=tmp_path)
    part = Part("SN1", "cam", PartVerdict.OK, None, 0.5, 1.0, "c1", 1, 7, AT, 0.0)
    for identity, sequence in (("r1", 1), ("r1", 1), ("r2", 2)):
        result = ResultPayload.of(part, identity=identity, sequence=sequence, site="plant", latency_seconds=0.1)
        watcher.take(TOPICS.result("cam"), result.to_bytes())
    saved = (tmp_path / "cam" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in saved] == ["r1", "r2"]
    assert lines == []


def test_status_is_printed_when_it_changes() -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append)
    for presence in (Presence.ONLINE, Presence.ONLINE, Presence.STOPPED):
        status = StatusPayload(status=presence, site="plant", version="1", connected_at=AT)
        watcher.take(TOPICS.status(), status.to_bytes())
    assert lines == ["plant: agent online", "plant: agent stopped"]


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """As on a full disk: files can be created, but not a byte can be written."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_alarm_on_a_full_disk_is_printed_and_saved_when_it_is_repeated(tmp_path: Path) -> None:
    lines: list[str] = []
    watcher = Watcher(lines.append, out=tmp_path)
    message = document("a1", 1)
    with no_file_may_grow():
        watcher.take(message.topic, message.payload)
        for image in ("heatmap", "overlay", "frame"):
            watcher.take(f"{TOPICS.alarm('cam')}/a1/{image}", b"image")
    assert "RAISED" in lines[0]
    assert lines[1:] == [f"cannot save to {tmp_path}: File too large"], "once for all files in a row"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [], "no half-written file stays"
    for _ in range(2):
        watcher.take(message.topic, message.payload)
    assert lines[2:] == [f"files are saved to {tmp_path} again"], "the alarm is printed once"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["raised.json"]


def test_line_that_cannot_be_printed_is_printed_when_the_alarm_is_repeated(tmp_path: Path) -> None:
    lines: list[str] = []
    errors = [BrokenPipeError(32, "Broken pipe")]

    def closed_at_first(line: str) -> None:
        if errors:
            raise errors.pop()
        lines.append(line)

    watcher = Watcher(closed_at_first, out=tmp_path)
    message = document("a1", 1)
    with pytest.raises(BrokenPipeError):
        watcher.take(message.topic, message.payload)
    watcher.take(message.topic, message.payload)
    assert "RAISED" in lines[0]


def test_verdict_is_a_line() -> None:
    lines: list[str] = []
    verdict = VerdictPayload(
        id="a1", number=1, site="plant", camera="cam", verdict="false", by="Anna\n", at=AT, raised_at=AT
    )
    Watcher(lines.append).take(TOPICS.verdict("cam", "a1"), verdict.to_bytes())
    assert len(lines) == 1
    assert lines[0].startswith("cam: alarm a1 judged false by Anna")
    assert lines[0].isprintable()
