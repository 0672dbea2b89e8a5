"""Frames in which no part was found: never judged, in no window, and no reason for an alarm."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import FileVersion, Frame, NotJudged, Part, PartVerdict, Phase
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Outcome
from agent.inspection.station import SETTLING_FRAMES, Station
from agent.parts import MissingParts
from agent.parts.grouping import ByCount
from agent.parts.missing import LONG_SECONDS, MANY_FILES
from agent.parts.triggers import ByTrigger
from calibration import glance
from tests.support.frames import INTERVAL_SECONDS, frame, prepared
from tests.support.stations import PLAN, feed, heat, make

REASON = "no part was found: the best match is 0.12, wanted 0.5 or more"


def without_part(index: int, image: np.ndarray | None = None) -> PreparedFrame:
    made = replace(frame(index, image=image), not_found=REASON)
    return PreparedFrame(made, made.image, glance(made.image))


def parts_in(outcome: Outcome) -> list[Part]:
    """The parts that ended with a frame."""
    return [each.part for each in (*outcome.late, outcome) if each.part is not None]


def hot(station: Station, shown: PreparedFrame) -> Outcome:
    """Judge a frame whose score is far above every threshold."""
    return station.judge(shown, 1e6, heat(50.0))


def test_the_window_takes_no_frame_without_a_part(tmp_path: Path) -> None:
    station = make(tmp_path)
    chance = np.random.default_rng(0)
    index = 0
    while station.phase is not Phase.ARMED:
        if index % 3 == 0:
            hot(station, without_part(index))
        else:
            station.judge(prepared(index), chance.gamma(9.0), heat(chance.random()))
        index += 1
    assert station.calibration is not None
    assert station.calibration.threshold.value < 100
    assert index > 1.4 * PLAN.frames


@pytest.mark.parametrize("waiting", [False, True])
def test_a_part_that_is_not_found_has_a_result_and_no_alarm(waiting: bool, tmp_path: Path) -> None:
    """Armed and while the window is filled."""
    plan = replace(PLAN, parts_known=True)
    station = make(tmp_path, plan, grouping=ByCount(1))
    if not waiting:
        feed(station, SETTLING_FRAMES + PLAN.frames)
    outcome = hot(station, without_part(200))
    part = outcome.part
    assert part is not None
    assert (part.verdict, part.reason, part.score) == (PartVerdict.NOT_JUDGED, NotJudged.PART_NOT_FOUND, None)
    assert not outcome.alarms
    assert outcome.verdict is None
    if not waiting:
        judged = hot(station, prepared(201))
        assert judged.part is not None
        assert judged.part.verdict is PartVerdict.NOK


def test_a_trigger_is_answered_where_its_frame_shows_no_part(tmp_path: Path) -> None:
    plan = replace(PLAN, parts_known=True)
    grouping = ByTrigger(frames_per_part=2, timeout_seconds=10.0, max_waiting=5)
    station = make(tmp_path, plan, grouping=ByCount(1))
    feed(station, SETTLING_FRAMES + PLAN.frames)
    station = make(tmp_path, plan, grouping=grouping)
    assert station.phase is Phase.ARMED
    station.trigger("SN1", 1000.0 + 200 * INTERVAL_SECONDS)
    hot(station, without_part(201))
    assert [(part.part, part.reason) for part in parts_in(hot(station, without_part(202)))] == [
        ("SN1", NotJudged.PART_NOT_FOUND)
    ]
    station.trigger("SN2", 1000.0 + 203 * INTERVAL_SECONDS)
    hot(station, without_part(204))
    (part,) = parts_in(station.judge(prepared(205), 1.0, heat(0.1)))
    assert (part.part, part.verdict) == ("SN2", PartVerdict.OK), "by the frame that shows it"


@pytest.mark.parametrize("parts_known", [False, True])
def test_frames_without_a_part_keep_their_place_among_those_held_back(parts_known: bool, tmp_path: Path) -> None:
    """Two black frames hold back what follows; all are answered in order, and only frames with a part are judged."""
    plan = replace(PLAN, parts_known=parts_known)
    station = make(tmp_path, plan, grouping=ByCount(1) if parts_known else None)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    bright = np.full((32, 32, 1), 255, np.uint8)
    outcomes = [
        hot(station, PreparedFrame(shown, shown.image, glance(shown.image))) for shown in (frame(200, image=bright),)
    ]
    outcomes.append(hot(station, without_part(201)))
    outcomes += [station.judge(prepared(index), 1.0, heat(0.1)) for index in (202, 203)]
    answered = [each for outcome in outcomes for each in (*outcome.late, outcome)]
    if parts_known:
        reasons = [each.part.reason for each in answered if each.part is not None]
        assert reasons == [NotJudged.BLIND, NotJudged.PART_NOT_FOUND, None, None]
        indices = [each.part.frame for each in answered if each.part is not None]
        assert indices == sorted(indices)
    assert {each.frame.index for each in answered if each.verdict is not None} <= {202, 203}
    assert not [alarm for each in answered for alarm in each.alarms]


def test_an_empty_belt_is_no_camera_fault(tmp_path: Path) -> None:
    """Its scene is not the usual one for many frames: dark, smooth, elsewhere."""
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    rng = np.random.default_rng(4)
    for index in range(200, 300):
        image = np.clip(rng.normal(60.0, 2.0, (32, 32, 1)), 0, 255).astype(np.uint8)
        assert not hot(station, without_part(index, image)).alarms
    assert station.phase is Phase.ARMED
    assert station.left_out == 0


def test_a_black_camera_is_reported_though_it_shows_no_part(tmp_path: Path) -> None:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    black = np.zeros((32, 32, 1), np.uint8)
    alarms = [alarm for index in range(200, 240) for alarm in hot(station, without_part(index, black)).alarms]
    assert [alarm.reason.split(":")[0] for alarm in alarms if alarm.reason] == ["black"]


def test_a_camera_that_finds_nothing_for_long_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watch, seconds = MissingParts("line1"), LONG_SECONDS + 2.0
    shown = [replace(frame(0), captured_monotonic=float(at), not_found=REASON) for at in np.arange(0.0, seconds, 1.0)]
    for each in shown[: int(LONG_SECONDS)]:
        watch.observe(each)
    assert watch.reason is None
    for each in shown[int(LONG_SECONDS) :]:
        watch.observe(each)
    assert watch.reason == f"61 frames in a row without a part: {REASON}"
    watch.observe(frame(1))
    assert watch.reason is None
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_files_without_a_part_are_reported_by_their_number() -> None:
    watch = MissingParts("line1")
    shown = replace(frame(0), not_found=REASON, file=FileVersion("a.png", 1, 1))
    for _ in range(MANY_FILES - 1):
        watch.observe(shown)
    assert watch.reason is None
    watch.observe(shown)
    assert watch.reason is not None
    assert watch.reason.startswith("50 images in a row without a part: ")


def test_a_gap_between_parts_is_not_reported() -> None:
    watch = MissingParts("line1")
    for index in range(5000):
        shown: Frame = frame(index)
        watch.observe(shown if index % 400 == 0 else replace(shown, not_found=REASON))
        assert watch.reason is None
