"""One camera from its first frame to alarms, recalibration and a restart, on real calibrations."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.alarms.camera_alarm import CameraAlarm
from agent.alarms.defect_alarm import DefectAlarm
from agent.core.errors import InspectdError
from agent.core.records import AlarmEvent, AlarmKind, Phase
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.frame_rate import RateMeter
from agent.inspection.outcome import Outcome
from agent.inspection.station import SETTLING_FRAMES, Station
from calibration import Budget, CalibrationError, Rule, Store, glance
from tests.support.frames import START, frame, picture, prepared

PLAN = CalibrationPlan(
    frames=100,
    max_frames=100,
    budget=Budget.parse("1 per 100 frames"),
    rule=Rule(1, 1),
    confidence=0.95,
    require_certificate=False,
    clear_after_seconds=0.2,
)
IDENTITY = CalibrationKey("line1", "a" * 64, "onnxruntime")


def make(directory: Path, plan: CalibrationPlan = PLAN, identity: CalibrationKey = IDENTITY) -> Station:
    ids = itertools.count(1)
    tracker = DefectAlarm("line1", 0.2, lambda: f"id-{next(ids)}")
    health = CameraAlarm("line1", lambda: f"id-{next(ids)}")
    return Station(identity, plan, Store(directory), tracker, health, now=lambda: START)


def feed(station: Station, count: int, first: int = 0, seed: int = 0) -> list[Outcome]:
    """Good frames, whose scores are gamma distributed."""
    chance = np.random.default_rng(seed)
    return [station.judge(prepared(first + i), chance.gamma(9.0), heat(chance.random())) for i in range(count)]


def heat(level: float) -> np.ndarray:
    return np.full((8, 8), 0.5 + level, np.float32)


@pytest.fixture
def armed(tmp_path: Path) -> Station:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED
    return station


def test_station_settles_calibrates_and_arms(tmp_path: Path) -> None:
    station = make(tmp_path)
    assert station.phase is Phase.STARTING
    feed(station, SETTLING_FRAMES)
    assert station.phase is Phase.CALIBRATING
    outcomes = feed(station, PLAN.frames, first=SETTLING_FRAMES)
    assert station.phase is Phase.ARMED
    assert outcomes[-1].candidate is not None
    assert outcomes[-1].candidate.calibration is station.calibration
    assert station.calibration is not None
    assert station.calibration.frames_per_second == pytest.approx(20.0)
    assert station.calibration.first_frame == SETTLING_FRAMES
    assert all(outcome.verdict is None for outcome in outcomes)


def test_a_camera_that_is_lost_before_its_threshold_raises_and_clears_one_alarm(tmp_path: Path) -> None:
    """Never there at first, then lost while calibrating."""
    station = make(tmp_path)
    for lost_after in (0, SETTLING_FRAMES + 10):
        feed(station, lost_after)
        raised = station.mark_camera_lost("no cable", 2000.0)
        assert raised is not None
        assert (raised.kind, raised.event, raised.reason) == (AlarmKind.CAMERA, AlarmEvent.RAISED, "lost: no cable")
        assert raised.threshold is None
        assert station.mark_camera_lost("no cable", 2001.0) is None
        (cleared,) = [outcome.alarm for outcome in feed(station, 15, first=lost_after + 40) if outcome.alarm]
        assert (cleared.id, cleared.event) == (raised.id, AlarmEvent.CLEARED)
    feed(station, PLAN.frames, first=200)
    assert station.phase is Phase.ARMED


def test_a_camera_that_nobody_looks_through_may_be_lost(armed: Station) -> None:
    armed.pause(1000.0)
    assert armed.mark_camera_lost("no cable", 2000.0) is None


def test_a_hot_frame_raises_and_quiet_clears(armed: Station) -> None:
    raised = armed.judge(prepared(200), 1000.0, heat(50.0))
    assert raised.alarm is not None
    assert raised.alarm.event is AlarmEvent.RAISED
    assert raised.verdict is not None
    assert raised.verdict.heatmap.max() > 1.0
    later = [armed.judge(prepared(201 + i), 1.0, heat(0.0)) for i in range(5)]
    assert [o.alarm.event for o in later if o.alarm] == [AlarmEvent.CLEARED]


def test_a_restart_is_armed_at_once(armed: Station, tmp_path: Path) -> None:
    again = make(tmp_path)
    assert again.phase is Phase.ARMED
    assert again.calibration == armed.calibration
    outcome = again.judge(prepared(0), 1000.0, heat(50.0))
    assert outcome.alarm is not None


@pytest.mark.parametrize("change", [{"bundle": "b" * 64}, {"engine": "torch"}])
def test_a_restart_with_another_model_or_engine_calibrates_anew(
    armed: Station, tmp_path: Path, change: dict[str, str]
) -> None:
    assert make(tmp_path, identity=replace(IDENTITY, **change)).phase is Phase.STARTING


def test_a_frozen_camera_is_refused_by_name_and_the_next_window_arms(tmp_path: Path) -> None:
    station = make(tmp_path)
    still = picture(0)
    for i in range(SETTLING_FRAMES + PLAN.frames):
        station.judge(PreparedFrame(frame(i, image=still), still, glance(still)), 1.0 + 1e-3 * (i % 7), heat(0.0))
    assert station.phase is Phase.CALIBRATING
    assert station.reason is not None
    assert "camera frozen?" in station.reason
    feed(station, PLAN.frames, first=500)
    assert station.phase is Phase.ARMED


def test_a_score_that_is_no_number_is_refused_and_the_agent_goes_on(tmp_path: Path) -> None:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + 10)
    station.judge(prepared(40), float("nan"), heat(0.0))
    assert station.reason is not None
    assert "nan" in station.reason
    feed(station, PLAN.frames, first=41)
    assert station.phase is Phase.ARMED


def test_recalibration_inspects_under_the_old_threshold_meanwhile(armed: Station) -> None:
    old = armed.calibration
    armed.recalibrate(replace(PLAN, by="anna"))
    outcomes = feed(armed, 60, first=200, seed=1)
    assert all(outcome.verdict is not None for outcome in outcomes)
    assert armed.judge(prepared(300), 1000.0, heat(50.0)).alarm is not None
    assert armed.progress is not None
    taken = armed.progress.frames
    assert taken <= 60, "the frame that alarmed is not taken in"
    candidates = [o.candidate for o in feed(armed, 120, first=301, seed=2) if o.candidate]
    assert len(candidates) == 1
    assert armed.calibration is old, "not before somebody has seen the preview"
    armed.activate(candidates[0].calibration, "anna")
    assert armed.calibration is candidates[0].calibration
    assert armed.calibration.who == "anna"


def test_recalibration_can_be_cancelled_and_asked_for_once_only(armed: Station) -> None:
    old = armed.calibration
    armed.recalibrate(PLAN)
    with pytest.raises(InspectdError, match="already being calibrated"):
        armed.recalibrate(PLAN)
    armed.cancel()
    assert armed.progress is None
    assert armed.calibration is old
    with pytest.raises(InspectdError, match="no recalibration to cancel"):
        armed.cancel()


def test_roll_back_goes_to_the_calibration_before(armed: Station) -> None:
    first = armed.calibration
    armed.recalibrate(PLAN)
    candidate = next(o.candidate for o in feed(armed, 200, first=200, seed=3) if o.candidate)
    armed.activate(candidate.calibration, "anna")
    assert armed.roll_back(None, "ben") == first
    assert armed.calibration == first
    assert armed.roll_back(candidate.calibration.id, "ben") == candidate.calibration
    with pytest.raises(CalibrationError, match="no calibration"):
        armed.roll_back("20200101T000000000Z-00000000", "ben")


def test_without_the_certificate_that_is_required_it_does_not_arm(tmp_path: Path) -> None:
    plan = replace(PLAN, budget=Budget.parse("1 per week"), require_certificate=True)
    station = make(tmp_path, plan)
    feed(station, SETTLING_FRAMES + plan.frames)
    assert station.phase is Phase.REFUSED
    assert station.reason is not None
    assert station.judge(prepared(500), 1000.0, heat(50.0)).alarm is None


def test_adopted_settings_count_at_once_or_with_the_next_calibration(armed: Station) -> None:
    old = armed.calibration
    assert old is not None
    armed.adopt(replace(PLAN, rule=Rule(2, 3), clear_after_seconds=10.0))
    raised = armed.judge(prepared(200), 1000.0, heat(50.0))
    assert raised.alarm is not None, "still 1 of 1: the threshold was made for it"
    later = [armed.judge(prepared(201 + i), 1.0, heat(0.0)) for i in range(100)]
    assert not any(o.alarm for o in later), "0.2 s would have cleared it"
    armed.recalibrate(armed.plan)
    candidate = next(o.candidate for o in feed(armed, 200, first=400, seed=3) if o.candidate)
    assert candidate.calibration.rule == Rule(2, 3)


def test_adopted_certificate_disarms_and_arms_again(tmp_path: Path) -> None:
    plan = replace(PLAN, budget=Budget.parse("1 per week"))
    station = make(tmp_path, plan)
    feed(station, SETTLING_FRAMES + plan.frames)
    assert station.phase is Phase.ARMED
    station.adopt(replace(plan, require_certificate=True))
    assert station.phase is Phase.REFUSED
    assert station.judge(prepared(500), 1000.0, heat(50.0)).alarm is None
    station.adopt(plan)
    assert station.phase is Phase.ARMED
    assert station.judge(prepared(501), 1000.0, heat(50.0)).alarm is not None


def test_a_pause_clears_what_stands_and_resuming_finds_it_anew(armed: Station) -> None:
    raised = armed.judge(prepared(200), 1000.0, heat(50.0)).alarm
    assert raised is not None
    (cleared,) = armed.pause(10.0)
    assert (cleared.id, cleared.kind, cleared.event) == (raised.id, AlarmKind.DEFECT, AlarmEvent.CLEARED)
    assert (cleared.reason, cleared.score, cleared.frame) == ("paused", 1000.0, 200)
    assert armed.active_alarm_id is None
    assert armed.pause(11.0) == [], "said once"
    armed.resume()
    again = armed.judge(prepared(201), 1000.0, heat(50.0)).alarm
    assert again is not None
    assert (again.event, again.id != raised.id) == (AlarmEvent.RAISED, True)


def test_a_pause_clears_the_alarm_about_a_camera_that_is_lost(armed: Station) -> None:
    raised = armed.mark_camera_lost("cable pulled", 10.0)
    assert raised is not None
    (cleared,) = armed.pause(11.0)
    assert (cleared.id, cleared.kind, cleared.event, cleared.reason) == (
        raised.id,
        AlarmKind.CAMERA,
        AlarmEvent.CLEARED,
        "paused",
    )
    assert armed.blind_reason is None


def test_a_pause_before_the_first_calibration_clears_only_what_the_camera_gave_cause_for(tmp_path: Path) -> None:
    station = make(tmp_path)
    assert station.pause(1.0) == []
    station.resume()
    raised = station.mark_camera_lost("no cable", 2.0)
    assert raised is not None
    (cleared,) = station.pause(3.0)
    assert (cleared.id, cleared.event, cleared.threshold) == (raised.id, AlarmEvent.CLEARED, None)


def test_a_paused_station_judges_nothing(armed: Station) -> None:
    armed.pause(10.0)
    assert armed.phase is Phase.PAUSED
    assert armed.judge(prepared(200), 1000.0, heat(50.0)).verdict is None
    armed.resume()
    assert armed.judge(prepared(201), 1000.0, heat(50.0)).alarm is not None


def test_a_shift_of_the_good_scores_is_flagged_and_moves_no_threshold(armed: Station) -> None:
    before = armed.calibration
    feed(armed, 1500, first=200, seed=4)
    assert not armed.drifted
    chance = np.random.default_rng(5)
    outcomes = [armed.judge(prepared(2000 + i), chance.gamma(9.0) + 3.0, heat(0.0)) for i in range(3000)]
    assert armed.drifted
    assert armed.calibration is before
    (drift,) = [outcome.drift for outcome in outcomes if outcome.drift]
    assert drift.flag
    assert drift.shift == pytest.approx(1.0, abs=0.5), "a gamma of shape 9 has a standard deviation of 3"
    assert armed.drift_shift == pytest.approx(drift.shift, abs=0.5)


def test_drift_that_passes_is_told_of_as_well(armed: Station) -> None:
    chance = np.random.default_rng(6)
    offset = np.repeat([0.0, 5.0, 0.0], 1500)
    scores = chance.gamma(9.0, size=offset.size) + offset
    turns = [armed.judge(prepared(200 + i), score, heat(0.0)).drift for i, score in enumerate(scores)]
    assert [drift.flag for drift in turns if drift] == [True, False]
    assert not armed.drifted


def test_rate_meter_survives_equal_times() -> None:
    meter = RateMeter()
    for _ in range(3):
        meter.update(1.0)
    assert meter.frames_per_second is not None
