"""The demo's arithmetic on hand-made alarms, and the demo itself, short, with every real part."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.records import AlarmEvent, AlarmKind
from agent.messages.alarm import AlarmPayload
from agent.sources.simulator.schedule import SimulatedLine
from agent.tools.contact_sheet import ContactSheetEntry, write_contact_sheet
from agent.tools.score_sheet import alarmed_parts, bad_parts, match_alarms

LINE = SimulatedLine("camera", seed=3, size=128, defect_rate=0.15, good_frames=40)


def alarm(frame: int, event: AlarmEvent = AlarmEvent.RAISED) -> AlarmPayload:
    return AlarmPayload(
        id=f"id-{frame}",
        sequence=frame + 1,
        event=event,
        kind=AlarmKind.DEFECT,
        site="demo",
        camera="line1",
        captured_at=datetime(2026, 3, 1, tzinfo=timezone.utc),
        frame=frame,
        score=2.0,
        threshold=1.0,
        rule=None,
        calibration=None,
        model=None,
        engine=None,
    )


def first_bad_part() -> int:
    return next(index for index in range(10, 1000) if LINE.part(index).kind is not None)


def test_an_alarm_about_the_camera_finds_no_bad_part() -> None:
    frame = first_bad_part() * LINE.frames_per_part
    sick = alarm(frame).model_copy(update={"kind": AlarmKind.CAMERA})
    assert [each.kind is None for each in match_alarms(LINE, [alarm(frame), sick], rule_frames=3)] == [False, True]


def test_no_bad_part_among_the_good_frames() -> None:
    assert bad_parts(LINE, 0, 39) == {}


def test_bad_parts_are_those_wholly_in_view() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    last = first + LINE.frames_per_part - 1
    assert list(bad_parts(LINE, first, last)) == [part]
    assert bad_parts(LINE, first + 1, last) == {}
    assert bad_parts(LINE, first, last - 1) == {}


def test_an_alarm_belongs_to_the_part_in_view_or_just_gone() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    last = first + LINE.frames_per_part - 1
    for frame in (first, last, last + 2):
        found = match_alarms(LINE, [alarm(frame)], rule_frames=3)
        assert found[0].kind == LINE.part(part).kind
        assert alarmed_parts(LINE, found, rule_frames=3) == {part}


def test_an_alarm_without_a_bad_part_is_false() -> None:
    found = match_alarms(LINE, [alarm(10), alarm(12, AlarmEvent.CLEARED)], rule_frames=3)
    assert [entry.kind for entry in found] == [None]
    assert alarmed_parts(LINE, found, rule_frames=3) == set()


def test_contact_sheet_shows_what_arrived_and_gray_for_what_did_not(tmp_path: Path) -> None:
    picture = np.full((60, 60, 3), (0, 0, 255), np.uint8)
    assert cv2.imwrite(str(tmp_path / "overlay.jpg"), picture)
    entries = [
        ContactSheetEntry(f"dent {i}", "score 2", tmp_path / "overlay.jpg", tmp_path / "missing.png") for i in range(4)
    ]
    write_contact_sheet(tmp_path / "sheet.png", "four alarms", entries)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    red = (sheet[:, :, 2] > 200) & (sheet[:, :, 0] < 60)
    assert red.sum() > 4 * 100 * 100


def test_contact_sheet_without_alarms(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.png", "no alarm", [])
    assert cv2.imread(str(tmp_path / "sheet.png")) is not None


@pytest.mark.skipif(
    shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="needs mosquitto"
)
def test_demo_plays_every_part_and_keeps_score(tmp_path: Path) -> None:
    """Broker, agent and subscriber as processes; ten seconds of inspection are enough for the plumbing."""
    out = tmp_path / "demo"
    command = [sys.executable, "-m", "agent.cli", "demo", "--seconds", "10", "--out", str(out), "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["frames"] > 100
    assert summary["false_alarms"] == 0
    assert {"defects_shown", "defects_alarmed", "frames_dropped", "latency_ms"} <= set(summary)
    assert cv2.imread(str(out / "alarms.png")) is not None
    assert "defects alarmed" in done.stdout
