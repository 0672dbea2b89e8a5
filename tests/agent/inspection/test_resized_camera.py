"""A camera that begins to send images of another size is not judged under the old threshold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import Alarm, AlarmEvent, AlarmKind, FileVersion, Image, Phase
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.station import SETTLING_FRAMES, Station
from tests.support.frames import frame, noise_image, prepared
from tests.support.stations import PLAN, feed, heat, make


def show(station: Station, first: int, count: int, source: Image | None) -> list[Alarm]:
    """Judge good frames whose source images have the size of `source`; returns the alarms."""
    chance, alarms = np.random.default_rng(first), []
    for index in range(first, first + count):
        taken = prepared(index)
        taken = PreparedFrame(replace(taken.frame, source=source), taken.pixels, taken.glance)
        alarms += station.judge(taken, chance.gamma(9.0), heat(chance.random())).alarms
    return alarms


@pytest.fixture
def armed(tmp_path: Path) -> Station:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED
    return station


LARGER = np.zeros((48, 32, 1), np.uint8)


def test_another_size_disarms_raises_a_camera_alarm_and_is_cleared_by_the_old_one(
    armed: Station, caplog: pytest.LogCaptureFixture
) -> None:
    (raised,) = show(armed, 200, 40, LARGER)
    assert (raised.kind, raised.event) == (AlarmKind.CAMERA, AlarmEvent.RAISED)
    assert raised.reason is not None
    assert raised.reason.startswith("resized: the images are 32×48, the calibration is for 32×32")
    assert armed.phase is Phase.BLIND
    assert armed.blind_reason == raised.reason
    assert caplog.text.count("not judged: resized") == 1, "by the camera alarm"
    assert all(outcome.verdict is None for outcome in feed(armed, 1, first=240))
    cleared = show(armed, 241, 40, None)
    assert [(alarm.id, alarm.event) for alarm in cleared] == [(raised.id, AlarmEvent.CLEARED)]
    assert armed.phase is Phase.ARMED


def test_a_crop_of_the_same_size_does_not_hide_another_size_of_the_image(tmp_path: Path) -> None:
    """The crop shows another part of the scene then."""
    station = make(tmp_path)
    show(station, 0, SETTLING_FRAMES + PLAN.frames, LARGER)
    assert station.phase is Phase.ARMED
    assert show(station, 200, 40, np.zeros((96, 64, 1), np.uint8))[0].kind is AlarmKind.CAMERA


def test_the_size_is_known_after_a_restart(armed: Station, tmp_path: Path) -> None:
    assert armed.calibration is not None
    assert armed.calibration.source is not None
    assert (armed.calibration.source.height, armed.calibration.source.width) == (32, 32)
    assert show(make(tmp_path), 200, 40, LARGER)[0].kind is AlarmKind.CAMERA


def test_a_recalibration_takes_the_new_size(armed: Station) -> None:
    show(armed, 200, 40, LARGER)
    armed.recalibrate(PLAN)
    show(armed, 300, PLAN.frames, LARGER)
    (identity,) = [id for id in armed.store.list() if armed.calibration is None or id != armed.calibration.id]
    armed.activate(armed.store.load(identity), "anna")
    (cleared,) = show(armed, 500, 40, LARGER)
    assert cleared.event is AlarmEvent.CLEARED
    assert armed.phase is Phase.ARMED


def test_a_window_of_two_sizes_is_rejected_and_the_next_one_used(tmp_path: Path) -> None:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + 30)
    show(station, 100, 1, LARGER)
    assert station.phase is Phase.CALIBRATING
    assert station.reason is not None
    assert "window: resized" in station.reason
    show(station, 101, PLAN.frames, LARGER)
    assert station.phase is Phase.ARMED


def test_files_of_several_sizes_are_one_window_and_all_judged(tmp_path: Path) -> None:
    station, chance = make(tmp_path), np.random.default_rng(1)

    def judge(index: int) -> bool:
        image = noise_image(index)
        source = np.zeros((32 + index % 3, 32, 1), np.uint8)
        made = replace(frame(index, image=image), source=source, file=FileVersion(f"{index}.png", 10, index))
        taken = PreparedFrame(made, image, prepared(index).glance)
        return station.judge(taken, chance.gamma(9.0), heat(chance.random())).verdict is not None

    assert not any(judge(index) for index in range(PLAN.frames))
    assert station.phase is Phase.ARMED
    assert all(judge(index) for index in range(200, 240))


def test_a_single_file_of_another_size_is_named(armed: Station, caplog: pytest.LogCaptureFixture) -> None:
    made = replace(prepared(200).frame, source=LARGER, file=FileVersion("odd.png", 10, 1), origin="odd.png")
    outcome = armed.judge(PreparedFrame(made, made.image, prepared(200).glance), 5.0, heat(0.1))
    assert outcome.verdict is None
    assert "odd.png: not judged: resized: the images are 32×48" in caplog.text
