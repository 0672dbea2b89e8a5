"""A window that does not fit its model waits for a person, also during a recalibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.core.errors import InspectdError
from agent.core.records import Phase
from agent.inspection.calibrating.window_calibrator import WindowCalibrator
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.review import HottestImages, WindowStopped, WindowToReview, training_scores
from agent.inspection.review.hottest_images import LONGEST_SIDE, MOST_IMAGES
from agent.inspection.station import SETTLING_FRAMES, Station
from calibration import TrainingScores, glance
from engines.bundles.bundle import Bundle
from engines.bundles.manifest import DamageCheck
from tests.support.frames import START, frame, noise_image, prepared
from tests.support.stations import IDENTITY, PLAN, heat, make

# `feed` and `good` draw gamma distributed scores, the same that this model knows.
KNOWN = TrainingScores(np.sort(np.random.default_rng(99).gamma(9.0, size=200)), damaged=500.0)


def judge(station: Station, score: Callable[[int, float], float], count: int = PLAN.frames, first: int = 0) -> None:
    """Judge frames with the scores that `score` makes of their place and a good score."""
    chance = np.random.default_rng(first)
    for i in range(count):
        station.judge(prepared(first + i), score(i, chance.gamma(9.0)), heat(chance.random()))


def good(place: int, value: float) -> float:
    return value


def foreign(place: int, value: float) -> float:
    return 1000.0 * value


def four_defects(place: int, value: float) -> float:
    return 200.0 + place if place % 25 == 10 else value


@pytest.fixture
def new_station(tmp_path: Path) -> Station:
    """Its next frame is the first of its window."""
    station = make(tmp_path, training=KNOWN)
    judge(station, good, SETTLING_FRAMES)
    return station


def test_a_good_window_arms(new_station: Station) -> None:
    judge(new_station, good)
    assert new_station.phase is Phase.ARMED
    assert new_station.stopped_window is None


@pytest.mark.parametrize("kind", [foreign, four_defects])
def test_a_window_that_does_not_fit_stops_before_arming(
    new_station: Station, kind: Callable[[int, float], float], caplog: pytest.LogCaptureFixture
) -> None:
    judge(new_station, kind)
    assert new_station.phase is Phase.REFUSED
    assert new_station.calibration is None
    assert new_station.progress is None
    assert new_station.reason is not None
    assert "inspectd calibration review line1" in new_station.reason
    assert caplog.text.count(new_station.reason) == 1
    judge(new_station, kind, first=500)
    assert new_station.phase is Phase.REFUSED, "it waits for a person"


def test_the_suspects_are_the_defects_hottest_first(new_station: Station) -> None:
    judge(new_station, four_defects)
    stopped = new_station.stopped_window
    assert stopped is not None
    assert [suspect.image.place for suspect in stopped.suspects] == [85, 60, 35, 10]
    assert [suspect.number for suspect in stopped.suspects] == [1, 2, 3, 4]
    shown = cv2.imdecode(np.frombuffer(stopped.suspects[0].image.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown.shape == (32, 32)


def test_thrown_out_parts_are_left_out_and_the_rest_arms(new_station: Station, tmp_path: Path) -> None:
    judge(new_station, four_defects)
    calibration = new_station.decide(None, "anna")
    assert calibration is not None
    assert new_station.phase is Phase.ARMED
    assert calibration.threshold.value < 100.0
    assert {(out.index, out.why) for out in calibration.left_out} == {
        (index, "thrown out by anna") for index in (10, 35, 60, 85)
    }
    assert make(tmp_path, training=KNOWN).calibration == calibration, "also after a restart"


def test_numbers_choose_the_bad_ones_and_all_others_are_good(new_station: Station) -> None:
    judge(new_station, four_defects)
    with pytest.raises(InspectdError, match="got number 9, wanted numbers of suspects, 1 to 4"):
        new_station.decide([1, 9], "anna")
    calibration = new_station.decide([1, 3], "anna")
    assert calibration is not None
    assert {out.index for out in calibration.left_out} == {85, 35}
    everything = new_station.store.load(calibration.id)
    assert everything.threshold.frames == PLAN.frames - 2


@pytest.mark.parametrize("kind", [foreign, four_defects])
def test_a_window_confirmed_as_good_arms_with_all_of_its_images(
    new_station: Station, kind: Callable[[int, float], float]
) -> None:
    judge(new_station, kind)
    calibration = new_station.decide([], "anna")
    assert calibration is not None
    assert calibration.left_out == ()
    assert calibration.who == "anna"
    assert new_station.phase is Phase.ARMED
    assert new_station.reason is not None
    assert ("does not fit" in new_station.reason) == (kind is foreign), "that stays on record"


def test_a_foreign_window_thrown_out_is_discarded_and_the_next_one_arms(new_station: Station) -> None:
    judge(new_station, foreign)
    assert new_station.decide(None, "anna") is None
    assert new_station.phase is Phase.CALIBRATING
    judge(new_station, good, first=500)
    assert new_station.phase is Phase.ARMED


def test_with_too_many_bad_parts_the_whole_window_is_discarded(new_station: Station) -> None:
    judge(new_station, lambda place, value: 200.0 + place if place % 5 == 0 else value)
    stopped = new_station.stopped_window
    assert stopped is not None
    assert stopped.suspected == 20
    assert new_station.decide(None, "anna") is None
    assert new_station.phase is Phase.CALIBRATING


def test_a_fresh_window_is_taken_without_a_comparison(new_station: Station) -> None:
    judge(new_station, foreign)
    new_station.recalibrate(replace(PLAN, fresh=True, by="anna"))
    assert new_station.phase is Phase.CALIBRATING
    judge(new_station, foreign, first=500)
    assert new_station.phase is Phase.ARMED


def test_a_recalibration_that_does_not_fit_leaves_the_threshold_in_force(new_station: Station) -> None:
    judge(new_station, good)
    before = new_station.calibration
    new_station.recalibrate(PLAN)

    def a_third_just_below_the_threshold(place: int, value: float) -> float:
        assert before is not None
        return min(value, before.threshold.value) if place % 3 else 0.999 * before.threshold.value - 1e-3 * place

    judge(new_station, a_third_just_below_the_threshold, first=500)
    assert new_station.phase is Phase.ARMED
    assert new_station.calibration is before
    assert new_station.stopped_window is not None
    new_station.cancel()
    assert new_station.stopped_window is None


@pytest.mark.parametrize(
    ("held_out", "doubt"),
    [
        (200, None),
        (
            40,
            "bad parts that make up less than 13% of the window would have gone unnoticed, unless they scored",
        ),
        (15, "bad parts in the window would have gone unnoticed: the model held out only 15 good images"),
        (0, "bad parts in the window may have gone unnoticed: the bundle does not know how good images score"),
    ],
)
def test_a_window_in_force_is_asked_about_where_few_good_images_are_known(
    tmp_path: Path, held_out: int, doubt: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    plan = replace(PLAN, frames=300, max_frames=300)
    known = TrainingScores(KNOWN.good[:: KNOWN.good.size // held_out][:held_out]) if held_out else None
    station = make(tmp_path, plan, training=known)
    judge(station, good, SETTLING_FRAMES + 300)
    assert station.phase is Phase.ARMED
    assert (doubt in (station.reason or "")) if doubt else ("unnoticed" not in (station.reason or ""))
    assert caplog.text.count("calibration review line1") == (doubt is not None)
    assert station.window_to_review is not None, "anybody may look"


def armed_among_few(directory: Path) -> Station:
    """A station whose window has four bad parts that nobody noticed: its model held out few good images."""
    station = make(directory, training=TrainingScores(KNOWN.good[::10]))
    judge(station, good, SETTLING_FRAMES)
    judge(station, lambda place, value: 18.0 + 0.01 * place if place % 25 == 10 else min(value, 17.0))
    assert station.phase is Phase.ARMED
    return station


def test_bad_parts_found_in_the_window_in_force_are_thrown_out(tmp_path: Path) -> None:
    station = armed_among_few(tmp_path)
    window, before = station.window_to_review, station.calibration
    assert window is not None
    assert before is not None
    assert [suspect.image.place for suspect in window.suspects[:4]] == [85, 60, 35, 10]
    assert station.stopped_window is None
    calibration = station.decide([1, 2, 3, 4], "anna")
    assert calibration is not None
    assert calibration.threshold.value < before.threshold.value
    assert {out.index for out in calibration.left_out} == {85, 60, 35, 10}
    assert (station.calibration, station.window_to_review) == (calibration, None)
    assert "gone unnoticed" not in (station.reason or "")
    assert make(tmp_path).calibration == calibration, "also after a restart"


def test_a_window_in_force_that_shows_good_parts_keeps_its_calibration(tmp_path: Path) -> None:
    station = armed_among_few(tmp_path)
    before = station.calibration
    assert station.decide([], "anna") is before, "with its evidence from production"
    assert station.calibration is before
    assert station.window_to_review is None
    with pytest.raises(InspectdError, match="no window to review"):
        station.decide([], "anna")


@pytest.mark.parametrize(
    ("only", "fault"),
    [
        (None, "wanted those of the bad parts"),
        ([25], "wanted numbers of suspects, 1 to 24"),
        ([1, 2, 3, 4, 5, 6], "got 6 bad parts of 100, wanted at most 5%"),
    ],
)
def test_wrong_answers_about_the_window_in_force_change_nothing(
    tmp_path: Path, only: list[int] | None, fault: str
) -> None:
    station = armed_among_few(tmp_path)
    before = station.calibration
    with pytest.raises(InspectdError, match=fault):
        station.decide(only, "anna")
    assert station.calibration is before
    assert station.window_to_review is not None


def test_a_recalibration_is_reviewed_once_it_is_in_force(tmp_path: Path) -> None:
    station = make(tmp_path)
    judge(station, good, SETTLING_FRAMES + PLAN.frames)
    first = station.calibration
    assert first is not None
    station.recalibrate(PLAN)
    assert station.window_to_review is None, "another window is filled"
    judge(station, good, first=300)
    # Both are of the same second, so their order is chance.
    second = station.store.load(next(each for each in station.store.list() if each != first.id))
    assert station.window_to_review is None, "its preview waits"
    station.activate(second, "anna")
    window = station.window_to_review
    assert window is not None
    assert window.calibration == second.id
    station.roll_back(first.id, "anna")
    assert station.window_to_review is None


def test_without_a_stopped_window_there_is_nothing_to_decide(new_station: Station) -> None:
    with pytest.raises(InspectdError, match="camera line1 has no window to review"):
        new_station.decide([], "anna")


def test_a_frozen_camera_is_named_as_such_though_its_level_is_foreign_too(new_station: Station) -> None:
    still = noise_image(0)
    for i in range(PLAN.frames):
        new_station.judge(PreparedFrame(frame(i, image=still), still, glance(still)), 1e4 + i, heat(0.0))
    assert new_station.reason is not None
    assert "camera frozen?" in new_station.reason
    assert new_station.phase is Phase.CALIBRATING


def test_a_model_without_known_scores_is_not_compared() -> None:
    calibrator = WindowCalibrator(IDENTITY, now=lambda: START)
    calibrator.start(PLAN, 20.0)
    chance = np.random.default_rng(0)
    candidates = [calibrator.add(prepared(i), 1e4 * chance.gamma(9.0), heat(0.1)) for i in range(PLAN.frames)]
    assert candidates[-1] is not None


def test_a_stopped_window_is_a_rejected_one(tmp_path: Path) -> None:
    """Its error is handled wherever a rejected window is."""
    calibrator = WindowCalibrator(IDENTITY, KNOWN, now=lambda: START)
    calibrator.start(PLAN, 20.0)
    chance = np.random.default_rng(0)
    for i in range(PLAN.frames - 1):
        calibrator.add(prepared(i), 1e4 * chance.gamma(9.0), heat(0.1))
    with pytest.raises(WindowStopped):
        calibrator.add(prepared(PLAN.frames), 1e4 * chance.gamma(9.0), heat(0.1))
    assert not calibrator.running
    assert isinstance(calibrator.stopped, WindowToReview)


def test_only_the_hottest_images_are_kept_reduced() -> None:
    hottest = HottestImages()
    scores = np.random.default_rng(0).permutation(200)
    for place, score in enumerate(scores):
        image = np.zeros((300, 960, 1), np.uint16)
        hottest.offer(place, float(score), replace(frame(1000 + place, image=image), origin=f"{place}.png"))
    kept = hottest.hottest_first()
    assert [image.score for image in kept] == list(range(199, 199 - MOST_IMAGES, -1))
    assert kept[0].origin == f"{int(np.argmax(scores))}.png"
    assert kept[0].frame == 1000 + int(np.argmax(scores))
    shown = cv2.imdecode(np.frombuffer(kept[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape[:2] == (150, LONGEST_SIDE)


def test_scores_come_from_the_manifest_of_old_and_new_bundles(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest
    assert manifest.training is not None
    held_out = manifest.training.held_out
    for quantiles in ([], [3.0, 1.0, 2.0]):
        changed = held_out.model_copy(update={"quantiles": quantiles})
        damage = DamageCheck(count=3, median=70.0, auroc=1.0, low=0.9, high=1.0) if quantiles else None
        training = manifest.training.model_copy(update={"held_out": changed, "damage": damage})
        found = training_scores(manifest.model_copy(update={"training": training}))
        assert found is not None
        if quantiles:
            assert (found.good.tolist(), found.damaged) == ([1.0, 2.0, 3.0], 70.0)
        else:
            assert found.damaged is None
            assert found.good.size == held_out.count
            assert found.highest == pytest.approx(held_out.maximum)
    assert training_scores(manifest.model_copy(update={"training": None})) is None
