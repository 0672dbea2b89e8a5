"""The demo's arithmetic on handmade alarms."""

from __future__ import annotations

from datetime import datetime, timezone

from agent.core.records import AlarmEvent, AlarmKind
from agent.messages.alarm import AlarmPayload
from agent.sources.simulator.schedule import SimulatedLine
from agent.tools.demo.score_sheet import ScoreSheet, alarmed_parts, bad_parts, match_alarms

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


def test_camera_alarm_belongs_to_no_part() -> None:
    frame = first_bad_part() * LINE.frames_per_part
    faulty = alarm(frame).model_copy(update={"kind": AlarmKind.CAMERA})
    assert [each.kind is None for each in match_alarms(LINE, [alarm(frame), faulty], rule_frames=3)] == [False, True]


def test_bad_parts_among_good_frames_are_none() -> None:
    assert bad_parts(LINE, 0, 39) == {}


def test_bad_parts_are_completely_in_view() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    last = first + LINE.frames_per_part - 1
    assert list(bad_parts(LINE, first, last)) == [part]
    assert bad_parts(LINE, first + 1, last) == {}
    assert bad_parts(LINE, first, last - 1) == {}


def test_alarm_belongs_to_the_part_in_view_or_just_gone() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    last = first + LINE.frames_per_part - 1
    for frame in (first, last, last + 2):
        found = match_alarms(LINE, [alarm(frame)], rule_frames=3)
        assert found[0].kind == LINE.part(part).kind
        assert alarmed_parts(LINE, found, rule_frames=3) == {part}


def test_alarm_without_a_bad_part_is_false() -> None:
    found = match_alarms(LINE, [alarm(10), alarm(12, AlarmEvent.CLEARED)], rule_frames=3)
    assert [entry.kind for entry in found] == [None]
    assert alarmed_parts(LINE, found, rule_frames=3) == set()


def test_score_sheet_lists_missed_defects() -> None:
    sheet = ScoreSheet(
        mode="camera",
        seed=0,
        frames=600,
        defects_shown=8,
        defects_alarmed=6,
        false_alarms=1,
        frames_dropped=0,
        latency_ms={"p50": 42.7, "p95": 149.1, "p99": 193.8},
        missed=("dent", "scratch"),
        threshold=11.6,
        promise="",
    )
    assert sheet.lines() == [
        "  frames inspected       600",
        "  defects shown          8",
        "  defects alarmed        6 (75 %)",
        "  missed                 dent, scratch",
        "  false alarms           1",
        "  frames dropped         0",
        "  capture to PUBACK, ms  p50 42.7  p95 149.1  p99 193.8",
    ]
