"""The demo's arithmetic on handmade alarms."""

from __future__ import annotations

from datetime import datetime, timezone

from agent.core.records import AlarmEvent, AlarmKind, PartVerdict
from agent.messages import AlarmPayload, ResultPayload
from agent.sources.simulator.schedule import SimulatedLine
from agent.tools.demo.score_sheet import (
    PartsSheet,
    ScoreSheet,
    alarmed_parts,
    count_parts,
    match_alarms,
    parts_in_view,
)

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


def result(part: int, verdict: PartVerdict) -> ResultPayload:
    """As the subscriber gets it; `part` is its index on the line."""
    return ResultPayload(
        id=f"id-{part}",
        sequence=part + 1,
        site="demo",
        camera="line1",
        part=str(part),
        verdict=verdict,
        score=None,
        threshold=None,
        calibration=None,
        frames=4,
        frame=part * LINE.frames_per_part + 1,
        captured_at=datetime(2026, 3, 1, tzinfo=timezone.utc),
        latency_ms=1.0,
    )


def first_bad_part() -> int:
    return next(index for index in range(10, 1000) if LINE.part(index).kind is not None)


def test_camera_alarm_belongs_to_no_part() -> None:
    frame = first_bad_part() * LINE.frames_per_part
    faulty = alarm(frame).model_copy(update={"kind": AlarmKind.CAMERA})
    assert [each.kind is None for each in match_alarms(LINE, [alarm(frame), faulty])] == [False, True]


def test_parts_among_good_frames_are_good() -> None:
    assert parts_in_view(LINE, 0, 39) == dict.fromkeys(range(10))


def test_parts_in_view_are_there_completely() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    last = first + LINE.frames_per_part - 1
    assert parts_in_view(LINE, first, last) == {part: LINE.part(part).kind}
    assert parts_in_view(LINE, first + 1, last) == {}
    assert parts_in_view(LINE, first, last - 1) == {}


def test_alarm_belongs_to_the_part_that_its_frame_shows() -> None:
    part = first_bad_part()
    first = part * LINE.frames_per_part
    for frame in (first, first + LINE.frames_per_part - 1):
        found = match_alarms(LINE, [alarm(frame)])
        assert found[0].kind == LINE.part(part).kind
        assert alarmed_parts(LINE, found) == {part}


def test_alarm_without_a_bad_part_is_false() -> None:
    found = match_alarms(LINE, [alarm(10), alarm(12, AlarmEvent.CLEARED)])
    assert [entry.kind for entry in found] == [None]
    assert alarmed_parts(LINE, found) == set()


def test_parts_are_counted_by_their_results_and_compared_with_the_truth() -> None:
    bad = first_bad_part()
    shown = parts_in_view(LINE, 0, (bad + 1) * LINE.frames_per_part - 1)
    verdicts = [PartVerdict.OK, PartVerdict.NOK, PartVerdict.NOT_JUDGED, *[PartVerdict.OK] * (bad - 3)]
    results = [result(part, verdict) for part, verdict in enumerate(verdicts) if part != 5]
    assert count_parts(LINE, shown, [*results, result(bad, PartVerdict.OK), result(bad + 9, PartVerdict.NOK)]) == (
        PartsSheet(
            shown=bad + 1,
            ok=bad - 3 + 1,
            nok=1,
            not_judged=1,
            without_result=1,
            missed=(str(LINE.part(bad).kind),),
            false_nok=1,
        )
    )


def sheet(parts: PartsSheet) -> ScoreSheet:
    return ScoreSheet(
        mode="camera",
        seed=0,
        frames=600,
        parts=parts,
        defects_shown=8,
        defects_alarmed=6,
        false_alarms=1,
        frames_dropped=3,
        latency_ms={"p50": 42.7, "p95": 149.1, "p99": 193.8},
        threshold=11.6,
        promise="",
    )


def test_score_sheet_counts_parts_and_lists_missed_defects() -> None:
    assert sheet(PartsSheet(150, 142, 7, 1, 0, ("hot_spot", "scratch"), 1)).lines() == [
        "  parts shown            150",
        "  ok                     142",
        "  nok                    7 (1 of them good)",
        "  not judged             1",
        "  bad parts shown        8",
        "  bad parts alarmed      6 (75 %)",
        "  missed                 hot spot, scratch",
        "  false alarms           1",
        "  frames                 600 inspected, 3 dropped",
        "  capture to PUBACK, ms  p50 42.7  p95 149.1  p99 193.8",
    ]


def test_score_sheet_shows_parts_without_a_result_only_where_there_are_some() -> None:
    assert "  without a result       2" in sheet(PartsSheet(150, 142, 5, 1, 2, (), 0)).lines()
    assert not any("missed" in line for line in sheet(PartsSheet(150, 142, 7, 1, 0, (), 0)).lines())
