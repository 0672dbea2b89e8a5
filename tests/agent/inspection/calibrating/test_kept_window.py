"""A calibration window continues after a restart, with the same result, unless something that shapes it has changed."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.records import FileVersion, Phase
from agent.inspection.calibrating import WindowFile, WindowProgress
from agent.inspection.station import SETTLING_FRAMES, Station
from calibration import Budget, FalseAlarmLevel, TrainingScores
from tests.support.frames import prepared
from tests.support.stations import PLAN, feed, heat, make

KNOWN = TrainingScores(np.sort(np.random.default_rng(99).gamma(9.0, size=200)), damaged=500.0)
SHAPE = {"model": "a" * 64, "engine": "onnxruntime", "source": "webcam", "calibration settings": "100 frames"}

Restart = Callable[..., Station]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "window.npz"


@pytest.fixture
def restarted(tmp_path: Path, path: Path) -> Iterator[Restart]:
    """A new station on the same directory, as after a restart of the agent."""
    files = []

    def make_again(*, shape: dict[str, str] | None = None, all_frames: bool = True, **more: object) -> Station:
        file = WindowFile(path, "line1", SHAPE if shape is None else shape, all_frames=all_frames)
        files.append(file)
        return make(tmp_path / "calibrations", window_file=file, **more)

    yield make_again
    for file in files:
        file.discard()


def test_a_stopped_agent_continues_its_window_and_arms_with_the_same_threshold(
    restarted: Restart, path: Path, tmp_path: Path
) -> None:
    uninterrupted = make(tmp_path / "other")
    feed(uninterrupted, SETTLING_FRAMES + PLAN.frames)
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    station = restarted()
    assert station.progress == WindowProgress(40, PLAN.frames)
    assert station.phase is Phase.STARTING, "the exposure of the camera settles"
    feed(station, SETTLING_FRAMES, first=900, seed=7)
    assert station.progress == WindowProgress(40, PLAN.frames)
    assert station.phase is Phase.CALIBRATING
    scores = np.random.default_rng(0)
    drawn = [(scores.gamma(9.0), scores.random()) for _ in range(SETTLING_FRAMES + PLAN.frames)]
    for i, (score, level) in enumerate(drawn[SETTLING_FRAMES + 40 :]):
        station.judge(prepared(900 + SETTLING_FRAMES + i), score, heat(level))
    assert station.phase is Phase.ARMED
    assert station.calibration is not None
    assert uninterrupted.calibration is not None
    assert station.calibration.threshold.value == uninterrupted.calibration.threshold.value
    assert station.calibration.frames_per_second == pytest.approx(20.0)
    assert np.array_equal(station.calibration.scores, uninterrupted.calibration.scores)


def test_a_killed_agent_loses_only_the_images_since_the_file_was_written(
    restarted: Restart, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("agent.inspection.calibrating.kept_window.time.monotonic", lambda: now[0])
    station = restarted()
    feed(station, SETTLING_FRAMES)
    for place in range(60):
        now[0] += 0.5
        feed(station, 1, first=SETTLING_FRAMES + place, seed=place)
    until_written(station)
    kept = restarted().progress
    assert kept is not None
    # Every two seconds: at most four images are missing.
    assert 56 <= kept.frames <= 60


def until_written(station: Station) -> None:
    """Wait for the thread that writes: a kill during a write is tested with the program itself."""
    writer = station._calibration.window._file._writer  # type: ignore[union-attr]
    if writer is not None:
        writer.join()


def test_the_pause_of_the_restart_is_no_running_time(restarted: Restart) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    station = restarted()
    feed(station, SETTLING_FRAMES + PLAN.frames, first=1_000_000)
    assert station.calibration is not None
    assert station.calibration.frames_per_second == pytest.approx(20.0, rel=0.01)


@pytest.mark.parametrize("name", SHAPE)
def test_a_window_of_another_shape_is_discarded_with_one_line(
    restarted: Restart, path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    station = restarted(shape={**SHAPE, name: "another one"})
    wanted = f"the window of 40 images from before the restart is discarded: another {name} since then"
    assert [record.getMessage() for record in caplog.records] == [f"camera line1: {wanted}"]
    assert station.progress == WindowProgress(0, PLAN.frames)
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"not an archive", None])
def test_a_damaged_file_is_discarded_with_one_line(
    restarted: Restart, path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    station = restarted()
    assert len(caplog.records) == 1
    assert "is discarded: the file cannot be read" in caplog.text
    assert station.progress == WindowProgress(0, PLAN.frames)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED


def test_a_recalibration_continues_with_its_plan(restarted: Restart) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + PLAN.frames)
    before = station.calibration
    plan = replace(
        PLAN,
        frames=120,
        max_frames=120,
        budget=Budget.parse("1 per 12 hours", shift_seconds=43_200.0),
        by="anna",
        dry_run=True,
        fresh=True,
        false_alarms=FalseAlarmLevel(20.0, 3),
    )
    station.recalibrate(plan)
    feed(station, 50, first=200, seed=5)
    station.finish()
    station = restarted()
    assert station.phase is Phase.ARMED
    assert station.calibration == before
    assert station.progress == WindowProgress(50, 120)
    outcomes = feed(station, SETTLING_FRAMES + 70, first=300, seed=6)
    (candidate,) = [outcome.candidate for outcome in outcomes if outcome.candidate is not None]
    assert candidate.calibration.threshold.frames == 120
    assert candidate.calibration.who == "anna"
    assert (candidate.calibration.budget, candidate.plan.dry_run, candidate.plan.fresh) == (plan.budget, True, True)
    assert station.calibration == before


def test_a_finished_window_is_not_continued_where_the_agent_was_killed_before_removing_it(
    restarted: Restart, path: Path
) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    unfinished = path.read_bytes()
    station = restarted()
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED
    until_written(station)
    path.write_bytes(unfinished)
    station = restarted()
    assert station.phase is Phase.ARMED
    assert station.progress is None
    assert not path.exists()


def test_a_stopped_window_waits_for_its_review_after_a_restart(restarted: Restart, path: Path) -> None:
    station = restarted(training=KNOWN)
    chance = np.random.default_rng(0)
    for i in range(SETTLING_FRAMES + PLAN.frames):
        score = 200.0 + i if i % 25 == 24 else chance.gamma(9.0)
        station.judge(prepared(i), score, heat(chance.random()))
    assert station.phase is Phase.REFUSED
    before = station.stopped_window
    assert before is not None
    until_written(station)
    station = restarted(training=KNOWN)
    assert station.phase is Phase.REFUSED
    after = station.stopped_window
    assert after is not None
    assert after.reason == before.reason
    assert after.suspects == before.suspects
    assert station.reason is not None
    assert "inspectd calibration review line1" in station.reason
    calibration = station.decide(None, "anna")
    assert calibration is not None
    assert len(calibration.left_out) == len(before.suspects)
    assert calibration.source is not None
    assert not path.exists()


def test_the_window_in_force_is_still_asked_about_after_a_restart(
    restarted: Restart, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    few = TrainingScores(KNOWN.good[::10])
    station = restarted(training=few)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    question = station.reason
    assert question is not None
    assert "only 20 good images; see `inspectd calibration review line1`" in question
    before = station.calibration
    until_written(station)
    caplog.clear()
    station = restarted(training=few)
    assert station.phase is Phase.ARMED
    assert (station.reason, station.calibration) == (question, before)
    assert caplog.text.count("inspectd calibration review line1") == 1
    calibration = station.decide([1], "anna")
    assert calibration is not None
    assert calibration.threshold.frames == PLAN.frames - 1
    assert station.calibration is calibration
    assert not path.exists()
    station = restarted(training=few)
    assert station.calibration == calibration
    assert station.window_to_review is None


@pytest.mark.parametrize("how", ["another calibration", "other settings"])
def test_the_window_of_before_is_dropped_silently_where_it_no_longer_counts(
    restarted: Restart, path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + PLAN.frames)
    first = station.calibration
    assert first is not None
    station.recalibrate(PLAN)
    feed(station, PLAN.frames, first=300, seed=5)
    until_written(station)
    assert path.exists()
    if how == "another calibration":
        station.roll_back(first.id, "anna")
    caplog.clear()
    station = restarted(shape={**SHAPE, "model": "another one"} if how == "other settings" else None)
    assert station.window_to_review is None
    assert not path.exists()
    assert not caplog.records


def test_a_cancelled_window_does_not_return(restarted: Restart, path: Path) -> None:
    station = restarted()
    feed(station, SETTLING_FRAMES + PLAN.frames)
    station.recalibrate(PLAN)
    feed(station, 50, first=200)
    station._calibration.window.keep()
    assert path.exists()
    station.cancel()
    assert not path.exists()
    assert restarted().progress is None


def test_the_files_of_a_first_window_are_read_again_instead(restarted: Restart, path: Path) -> None:
    station = restarted()
    for i in range(60):
        made = prepared(i)
        file = FileVersion(f"{i}.png", 100, i)
        station.judge(replace(made, frame=replace(made.frame, file=file)), 5.0 + i % 7, heat(0.1))
    station.finish()
    assert not path.exists()


def test_a_source_that_starts_again_keeps_no_window(restarted: Restart, path: Path) -> None:
    station = restarted(all_frames=False)
    feed(station, SETTLING_FRAMES + 40)
    station.finish()
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_directory_that_takes_no_files_is_logged_once(
    restarted: Restart, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    station = restarted()
    feed(station, SETTLING_FRAMES + 40)
    tmp_path.chmod(0o500)
    try:
        station.finish()
        station.finish()
    finally:
        tmp_path.chmod(0o700)
    assert caplog.text.count("the calibration window is not kept") == 1
