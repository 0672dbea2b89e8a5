"""One camera from its first frame to alarms, recalibration and a restart, on real calibrations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import InspectdError, Temporary
from agent.core.records import AlarmEvent, AlarmKind, NotJudged, Part, PartVerdict, Phase
from agent.inspection.calibrating import WindowProgress
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.groups import Evidence
from agent.inspection.outcome import Candidate, Outcome
from agent.inspection.station import SETTLING_FRAMES, Station
from agent.parts.grouping import ByCount, ByGap
from agent.parts.triggers import ByTrigger
from calibration import Budget, CalibrationError, Rule, TrainingScores, glance
from engines.images import Content
from tests.support.frames import INTERVAL_SECONDS, frame, noise_image, prepared
from tests.support.stations import IDENTITY, PLAN, feed, heat, make


@pytest.fixture
def armed(tmp_path: Path) -> Station:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED
    return station


def test_station_measures_the_rate_then_calibrates_then_judges(tmp_path: Path) -> None:
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


def test_a_camera_lost_before_its_first_threshold_raises_and_clears_one_alarm(tmp_path: Path) -> None:
    """Once before its first frame, once while calibrating."""
    station = make(tmp_path)
    for lost_after in (0, SETTLING_FRAMES + 10):
        feed(station, lost_after)
        raised = station.mark_camera_lost("no cable", 2000.0)
        assert raised is not None
        assert (raised.kind, raised.event, raised.reason) == (AlarmKind.CAMERA, AlarmEvent.RAISED, "lost: no cable")
        assert raised.threshold is None
        assert station.mark_camera_lost("no cable", 2001.0) is None
        (cleared,) = [alarm for outcome in feed(station, 15, first=lost_after + 40) for alarm in outcome.alarms]
        assert (cleared.id, cleared.event) == (raised.id, AlarmEvent.CLEARED)
    feed(station, PLAN.frames, first=200)
    assert station.phase is Phase.ARMED


def test_a_camera_lost_while_paused_raises_nothing(armed: Station) -> None:
    armed.pause(1000.0)
    assert armed.mark_camera_lost("no cable", 2000.0) is None


def test_a_high_score_raises_an_alarm_and_the_quiet_time_clears_it(armed: Station) -> None:
    raised = armed.judge(prepared(200), 1000.0, heat(50.0))
    assert [alarm.event for alarm in raised.alarms] == [AlarmEvent.RAISED]
    assert raised.verdict is not None
    assert raised.verdict.heatmap.max() > 1.0
    later = [armed.judge(prepared(201 + i), 1.0, heat(0.0)) for i in range(5)]
    assert [alarm.event for o in later for alarm in o.alarms] == [AlarmEvent.CLEARED]


def test_the_heatmap_of_a_verdict_shows_the_image_without_padding(armed: Station) -> None:
    """So that its regions are in pixels of the image."""
    taken = prepared(200)
    padded = replace(taken, frame=replace(taken.frame, content=Content(0.25, 0.0, 0.75, 1.0)))
    whole, half = armed.judge(taken, 1000.0, heat(50.0)).verdict, armed.judge(padded, 1000.0, heat(50.0)).verdict
    assert half.heatmap.shape == (whole.heatmap.shape[0] // 2, whole.heatmap.shape[1])


def test_a_restart_judges_by_the_stored_calibration_at_once(armed: Station, tmp_path: Path) -> None:
    again = make(tmp_path)
    assert again.phase is Phase.ARMED
    assert again.calibration == armed.calibration
    outcome = again.judge(prepared(0), 1000.0, heat(50.0))
    assert outcome.alarms


@pytest.mark.parametrize("change", [{"bundle": "b" * 64}, {"engine": "torch"}])
def test_a_restart_with_another_model_or_engine_calibrates_again(
    armed: Station, tmp_path: Path, change: dict[str, str]
) -> None:
    assert make(tmp_path, identity=replace(IDENTITY, **change)).phase is Phase.STARTING


def test_the_window_of_a_frozen_camera_is_rejected_and_the_next_one_used(tmp_path: Path) -> None:
    station = make(tmp_path)
    still = noise_image(0)
    for i in range(SETTLING_FRAMES + PLAN.frames):
        station.judge(PreparedFrame(frame(i, image=still), still, glance(still)), 1.0 + 1e-3 * (i % 7), heat(0.0))
    assert station.phase is Phase.CALIBRATING
    assert station.reason is not None
    assert "camera frozen?" in station.reason
    feed(station, PLAN.frames, first=500)
    assert station.phase is Phase.ARMED


def test_a_window_with_a_score_that_is_no_number_is_rejected_and_the_next_one_used(tmp_path: Path) -> None:
    station = make(tmp_path)
    feed(station, SETTLING_FRAMES + 10)
    station.judge(prepared(40), float("nan"), heat(0.0))
    assert station.reason is not None
    assert "nan" in station.reason
    feed(station, PLAN.frames, first=41)
    assert station.phase is Phase.ARMED


def test_recalibration_judges_by_the_old_threshold_until_it_is_activated(armed: Station) -> None:
    old = armed.calibration
    armed.recalibrate(replace(PLAN, by="anna"))
    outcomes = feed(armed, 60, first=200, seed=1)
    assert all(outcome.verdict is not None for outcome in outcomes)
    assert armed.judge(prepared(300), 1000.0, heat(50.0)).alarms
    assert armed.progress is not None
    taken = armed.progress.frames
    assert taken <= 60, "the anomalous frame does not count as good"
    candidates = [o.candidate for o in feed(armed, 120, first=301, seed=2) if o.candidate]
    assert len(candidates) == 1
    assert armed.calibration is old, "the preview comes first"
    armed.activate(candidates[0].calibration, "anna")
    assert armed.calibration is candidates[0].calibration
    assert armed.calibration.who == "anna"


def test_recalibration_can_be_cancelled_but_not_started_twice(armed: Station) -> None:
    old = armed.calibration
    armed.recalibrate(PLAN)
    with pytest.raises(InspectdError, match="already being calibrated"):
        armed.recalibrate(PLAN)
    armed.cancel()
    assert armed.progress is None
    assert armed.calibration is old
    with pytest.raises(InspectdError, match="no recalibration to cancel"):
        armed.cancel()


def test_roll_back_returns_to_the_previous_calibration(armed: Station) -> None:
    first = armed.calibration
    armed.recalibrate(PLAN)
    candidate = next(o.candidate for o in feed(armed, 200, first=200, seed=3) if o.candidate)
    armed.activate(candidate.calibration, "anna")
    assert armed.roll_back(None, "ben") == first
    assert armed.calibration == first
    assert armed.roll_back(candidate.calibration.id, "ben") == candidate.calibration
    with pytest.raises(CalibrationError, match="no calibration"):
        armed.roll_back("20200101T000000000Z-00000000", "ben")


def test_a_missing_certificate_that_is_required_keeps_frames_unjudged(tmp_path: Path) -> None:
    plan = replace(PLAN, budget=Budget.parse("1 per week"), require_certificate=True)
    station = make(tmp_path, plan)
    feed(station, SETTLING_FRAMES + plan.frames)
    assert station.phase is Phase.REFUSED
    assert station.reason is not None
    assert not station.judge(prepared(500), 1000.0, heat(50.0)).alarms


def test_adopted_quiet_time_counts_at_once_and_the_rule_with_the_next_calibration(armed: Station) -> None:
    old = armed.calibration
    assert old is not None
    armed.adopt(replace(PLAN, rule=Rule(2, 3), clear_after_seconds=10.0))
    raised = armed.judge(prepared(200), 1000.0, heat(50.0))
    assert raised.alarms, "still 1 of 1: the threshold in force was computed for it"
    later = [armed.judge(prepared(201 + i), 1.0, heat(0.0)) for i in range(100)]
    assert not any(o.alarms for o in later), "0.2 s would have cleared it"
    armed.recalibrate(armed.plan)
    candidate = next(o.candidate for o in feed(armed, 200, first=400, seed=3) if o.candidate)
    assert candidate.calibration.rule == Rule(2, 3)


def test_adopted_certificate_requirement_stops_and_restarts_judging(tmp_path: Path) -> None:
    plan = replace(PLAN, budget=Budget.parse("1 per week"))
    station = make(tmp_path, plan)
    feed(station, SETTLING_FRAMES + plan.frames)
    assert station.phase is Phase.ARMED
    station.adopt(replace(plan, require_certificate=True))
    assert station.phase is Phase.REFUSED
    assert not station.judge(prepared(500), 1000.0, heat(50.0)).alarms
    station.adopt(plan)
    assert station.phase is Phase.ARMED
    assert station.judge(prepared(501), 1000.0, heat(50.0)).alarms


def test_a_pause_clears_the_active_alarm_and_resuming_raises_a_new_one(armed: Station) -> None:
    (raised,) = armed.judge(prepared(200), 1000.0, heat(50.0)).alarms
    (cleared,) = armed.pause(10.0)
    assert (cleared.id, cleared.kind, cleared.event) == (raised.id, AlarmKind.DEFECT, AlarmEvent.CLEARED)
    assert (cleared.reason, cleared.score, cleared.frame) == ("paused", 1000.0, 200)
    assert armed.active_alarm_id is None
    assert armed.pause(11.0) == [], "reported once"
    armed.resume()
    (again,) = armed.judge(prepared(201), 1000.0, heat(50.0)).alarms
    assert (again.event, again.id != raised.id) == (AlarmEvent.RAISED, True)


def test_a_pause_clears_the_alarm_about_a_lost_camera(armed: Station) -> None:
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


def test_a_pause_before_the_first_calibration_clears_the_alarm_about_the_camera(tmp_path: Path) -> None:
    station = make(tmp_path)
    assert station.pause(1.0) == []
    station.resume()
    raised = station.mark_camera_lost("no cable", 2.0)
    assert raised is not None
    (cleared,) = station.pause(3.0)
    assert (cleared.id, cleared.event, cleared.threshold) == (raised.id, AlarmEvent.CLEARED, None)


def test_a_paused_station_judges_no_frame(armed: Station) -> None:
    armed.pause(10.0)
    assert armed.phase is Phase.PAUSED
    assert armed.judge(prepared(200), 1000.0, heat(50.0)).verdict is None
    armed.resume()
    assert armed.judge(prepared(201), 1000.0, heat(50.0)).alarms


def test_a_shift_of_the_good_scores_is_flagged_and_leaves_the_threshold(armed: Station) -> None:
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


def test_drift_that_ends_is_reported_too(armed: Station) -> None:
    chance = np.random.default_rng(6)
    offset = np.repeat([0.0, 5.0, 0.0], 1500)
    scores = chance.gamma(9.0, size=offset.size) + offset
    turns = [armed.judge(prepared(200 + i), score, heat(0.0)).drift for i, score in enumerate(scores)]
    assert [drift.flag for drift in turns if drift] == [True, False]
    assert not armed.drifted


def judge_scores(station: Station, scores: np.ndarray, *, first: int = 500) -> Candidate | None:
    """Judge frames with these scores until they complete a window; None where they do not."""
    for i, score in enumerate(scores):
        outcome = station.judge(prepared(first + i), float(score), heat(0.1 * (i % 7)))
        if outcome.candidate is not None:
            return outcome.candidate
    return None


def drifted_scores(station: Station, share: float, count: int = 400) -> np.ndarray:
    """Good scores of a line that has drifted: this share is above the threshold in force."""
    assert station.calibration is not None
    scores = np.random.default_rng(8).gamma(9.0, size=count)
    return scores * station.calibration.threshold.value / np.quantile(scores, 1 - share)


def test_recalibration_of_a_drifted_line_is_rejected(armed: Station) -> None:
    """A third of its good parts raise an alarm: without them, the window would end at the old threshold."""
    old = armed.calibration
    armed.recalibrate(PLAN)
    assert judge_scores(armed, drifted_scores(armed, 1 / 3)) is None
    assert armed.calibration is old
    assert armed.progress is None, "rejected as soon as it is certain"
    assert armed.reason is not None
    assert "6 images raised an alarm under the threshold in force and were kept out, wanted at most 5%" in armed.reason
    assert "`inspectd recalibrate --fresh`" in armed.reason


def test_recalibration_that_keeps_an_alarming_image_out_is_not_certified(armed: Station) -> None:
    """The budget is so large that the window certifies it otherwise."""
    plan = replace(PLAN, budget=Budget.parse("20 per 100 parts"), frames=300, max_frames=300)
    values = drifted_scores(armed, 0.002)
    armed.recalibrate(plan)
    without = judge_scores(armed, values)
    armed.recalibrate(plan)
    values[50] = 2.0 * values.max()
    censored = judge_scores(armed, values)
    assert without is not None
    assert without.calibration.threshold.certified
    assert censored is not None
    threshold = censored.calibration.threshold
    assert not threshold.certified
    assert threshold.frames_needed is not None
    assert threshold.reason == (
        "1 image was kept out for an alarm under the threshold in force and counts as good: if it shows a good "
        "part, use `inspectd recalibrate --fresh`, which takes every image"
    )
    assert "cannot promise that" in censored.calibration.promise


def test_fresh_recalibration_of_a_drifted_line_keeps_its_budget(armed: Station) -> None:
    """The old threshold stays in force meanwhile, and raises its alarms."""
    plan = replace(PLAN, frames=1_000, max_frames=1_000, fresh=True)
    armed.recalibrate(plan)
    values = drifted_scores(armed, 1 / 3, 21_000)
    candidate = judge_scores(armed, values[:1_000])
    assert candidate is not None
    assert armed.active_alarm_id is not None
    assert candidate.calibration.scores.size == 1_000
    assert candidate.calibration.threshold.certified
    assert np.mean(values[1_000:] > candidate.calibration.threshold.value) <= 0.01


def test_fresh_recalibration_leaves_no_image_out(armed: Station) -> None:
    """A rare kind of good part looks unlike the rest; the person who asked vouches for it."""
    values = np.random.default_rng(1).gamma(9.0, size=400)
    values[::40] += 60.0
    armed.recalibrate(replace(PLAN, frames=400, max_frames=400, fresh=True))
    candidate = judge_scores(armed, values)
    assert candidate is not None
    assert candidate.calibration.left_out == ()
    assert candidate.calibration.threshold.frames == 400
    assert candidate.calibration.threshold.value > 60.0


def test_images_left_out_are_asked_about_in_log_and_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody has looked at them: the technician reads how to, and what to do if they show good parts."""
    station = make(tmp_path, replace(PLAN, frames=400, max_frames=400))
    values = np.random.default_rng(1).gamma(9.0, size=SETTLING_FRAMES + 400)
    values[SETTLING_FRAMES + 20 :: 80] += 60.0
    judge_scores(station, values)
    question = (
        "5 images left out count as good until a person has looked: `inspectd calibration review line1` shows them and "
        "takes the decision"
    )
    assert station.reason is not None
    assert question in station.reason
    assert f"camera line1: {question}" in [record.message for record in caplog.records]
    counted = station.calibration
    assert counted is not None
    looked = station.decide({1, 2, 3, 4, 5}, "anna")
    assert looked is not None
    assert looked.threshold.expected_alarms_per_day < 0.7 * counted.threshold.expected_alarms_per_day
    assert "left out" not in (station.reason or "")


def test_images_left_out_of_a_window_that_is_gone_are_asked_about_by_the_report(tmp_path: Path) -> None:
    station = make(tmp_path, replace(PLAN, frames=400, max_frames=400))
    values = np.random.default_rng(1).gamma(9.0, size=SETTLING_FRAMES + 400)
    values[SETTLING_FRAMES + 20 :: 80] += 60.0
    judge_scores(station, values)
    restarted = make(tmp_path, PLAN)
    assert restarted.reason is not None
    assert (
        "5 images left out count as good until a person has looked (`inspectd calibration show --html FILE`); if they "
        "show good parts, use `inspectd recalibrate --fresh`"
    ) in restarted.reason


def test_window_is_in_force_after_its_frames_unless_a_certificate_is_required(tmp_path: Path) -> None:
    """60 frames cannot certify one in a hundred. They arm with a limit, instead of a line that stays unarmed."""
    station = make(tmp_path, replace(PLAN, frames=60, max_frames=3_000))
    feed(station, SETTLING_FRAMES + 60)
    assert station.phase is Phase.ARMED
    assert station.reason is not None
    assert "60 frames are too few to promise at most 1 false alarm per 100 frames" in station.reason


def test_window_that_grows_for_a_certificate_logs_and_shows_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    known = TrainingScores(np.sort(np.random.default_rng(99).gamma(9.0, size=200)))
    station = make(tmp_path, replace(PLAN, frames=60, max_frames=3_000, require_certificate=True), training=known)
    feed(station, SETTLING_FRAMES + 60)
    assert station.phase is Phase.CALIBRATING
    wanted = (
        "60 frames are too few to promise at most 1 false alarm per 100 frames; the window is extended from 60 to 120 "
        "frames"
    )
    assert station.reason == wanted
    assert [record.message for record in caplog.records if "extended" in record.message] == [f"camera line1: {wanted}"]
    assert station.progress == WindowProgress(60, 120)
    feed(station, 3_000, first=SETTLING_FRAMES + 60)
    assert station.phase is Phase.ARMED
    assert station.reason is None


def test_first_window_takes_every_image_and_is_not_censored(tmp_path: Path) -> None:
    station = make(tmp_path, replace(PLAN, budget=Budget.parse("20 per 100 parts")))
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.calibration is not None
    assert station.calibration.threshold.certified


NIGHT = 8 * 3600.0


def run_at(station: Station, times: np.ndarray, *, first: int, jump_seconds: float = 0.0) -> Candidate:
    """Judge good frames captured at these monotonic times, seconds, until they complete a window.

    From the middle on, the wall clock is `jump_seconds` ahead.
    """
    chance = np.random.default_rng(9)
    for i, now in enumerate(times):
        made = prepared(first + i)
        jump = timedelta(seconds=jump_seconds if i > times.size / 2 else 0.0)
        moved = replace(made.frame, captured_monotonic=float(now), captured_at=made.frame.captured_at + jump)
        outcome = station.judge(replace(made, frame=moved), chance.gamma(9.0), heat(chance.random()))
        if outcome.candidate is not None:
            return outcome.candidate
    pytest.fail(f"no window is complete after {times.size} frames")


def test_rate_of_a_window_leaves_a_stop_at_night_out(tmp_path: Path) -> None:
    """The line stops for 8 h while the window is filled."""
    times = 1000.0 + 0.05 * np.arange(200) + np.where(np.arange(200) >= 70, NIGHT, 0.0)
    calibration = run_at(make(tmp_path), times, first=0).calibration
    assert calibration.frames_per_second == pytest.approx(20.0)
    assert calibration.quiet_frames == 4, "0.2 s"


def test_rate_of_a_recalibration_is_that_of_its_own_window(armed: Station) -> None:
    """The line stopped for 8 h before it, and runs at a quarter of its rate now."""
    armed.recalibrate(PLAN)
    candidate = run_at(armed, 2000.0 + NIGHT + 0.2 * np.arange(200), first=200)
    assert candidate.calibration.frames_per_second == pytest.approx(5.0)
    assert candidate.calibration.quiet_frames == 1
    assert candidate.plan.frames_per_second == candidate.calibration.frames_per_second


@pytest.mark.parametrize("jump_seconds", [30 * 86_400.0, -86_400.0])
def test_rate_of_a_window_ignores_a_wall_clock_that_jumps(tmp_path: Path, jump_seconds: float) -> None:
    times = 1000.0 + 0.05 * np.arange(200)
    calibration = run_at(make(tmp_path), times, first=0, jump_seconds=jump_seconds).calibration
    assert calibration.frames_per_second == pytest.approx(20.0)


def test_rate_of_a_triggered_camera_is_that_of_its_parts(tmp_path: Path) -> None:
    """Parts at random times, two a second on average, with a break of an hour."""
    intervals = np.random.default_rng(3).exponential(0.5, 700)
    intervals[300] = 3600.0
    station = make(tmp_path, replace(PLAN, frames=500, max_frames=500))
    calibration = run_at(station, 1000.0 + np.cumsum(intervals), first=0).calibration
    assert calibration.frames_per_second == pytest.approx(2.0, rel=0.15), "three standard errors"


def test_rate_in_the_settings_counts_where_there_is_one(tmp_path: Path) -> None:
    station = make(tmp_path, replace(PLAN, frames_per_second=3.0))
    assert run_at(station, 1000.0 + 0.05 * np.arange(200), first=0).calibration.frames_per_second == 3.0


def test_rule_in_the_settings_that_is_not_in_force_is_reported_at_the_start(
    armed: Station, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "rule" not in (armed.reason or "")
    again = make(tmp_path, replace(PLAN, rule=Rule(2, 3)))
    words = (
        "rule 2 of 3 of the settings is not in force: the threshold was calibrated for 1 of 1; recalibrate to use it"
    )
    assert [(record.levelname, record.message) for record in caplog.records] == [("WARNING", f"camera line1: {words}")]
    assert again.reason is not None
    assert again.reason.startswith(words)
    again.recalibrate(again.plan)
    candidate = next(o.candidate for o in feed(again, 200, first=200, seed=3) if o.candidate)
    again.activate(candidate.calibration, "anna")
    assert "not in force" not in (again.reason or "")


def test_rule_that_a_reload_changes_is_reported_until_it_is_changed_back(
    armed: Station, caplog: pytest.LogCaptureFixture
) -> None:
    before = armed.reason
    armed.adopt(replace(PLAN, rule=Rule(2, 3)))
    assert armed.reason is not None
    assert "rule 2 of 3 of the settings is not in force" in armed.reason
    armed.adopt(replace(PLAN, rule=Rule(2, 3)))
    assert len(caplog.records) == 1, "once for each change"
    armed.adopt(PLAN)
    assert armed.reason == before


FOLDER_PLAN = replace(PLAN, parts_known=True, clear_after_seconds=0.0)


def folder_station(directory: Path, rule: Rule = PLAN.rule) -> Station:
    """A calibrated station of a source whose frames are parts."""
    station = make(directory, replace(FOLDER_PLAN, rule=rule), clear_after_seconds=0.0)
    feed(station, SETTLING_FRAMES + PLAN.frames)
    assert station.phase is Phase.ARMED
    return station


def test_each_bad_image_of_a_folder_raises_its_own_alarm(tmp_path: Path) -> None:
    station = folder_station(tmp_path)
    scores = (1.0, 1000.0, 2000.0, 1.0, 1000.0)
    outcomes = [station.judge(prepared(200 + i), score, heat(0.0)) for i, score in enumerate(scores)]
    seen = [[(alarm.event.value, alarm.id) for alarm in outcome.alarms] for outcome in outcomes]
    assert seen == [
        [],
        [("raised", "id-1")],
        [("cleared", "id-1"), ("raised", "id-2")],
        [("cleared", "id-2")],
        [("raised", "id-3")],
    ]


def test_rule_of_several_images_raises_no_alarm_of_their_own_for_the_good_ones_after_a_bad_pair(tmp_path: Path) -> None:
    station = folder_station(tmp_path, Rule(2, 3))
    outcomes = [station.judge(prepared(200 + i), score, heat(0.0)) for i, score in enumerate([1e3, 1e3, 1.0, 1.0, 1.0])]
    events = [alarm.event.value for outcome in outcomes for alarm in outcome.alarms]
    assert events == ["raised", "cleared"]


def test_frames_above_the_threshold_that_the_rule_passed_are_counted(tmp_path: Path) -> None:
    station = folder_station(tmp_path, Rule(2, 3))

    def passed(scores: list[float], first: int) -> int:
        judged = [station.judge(prepared(first + i), score, heat(0.0)) for i, score in enumerate(scores)]
        return sum(outcome.passed_by_rule for outcome in judged)

    assert passed([1e3, 1.0, 1.0, 1.0, 1e3, 1.0, 1.0], 200) == 2, "both stand alone"
    assert passed([1e3, 1e3, 1.0, 1.0, 1.0, 1.0], 300) == 0, "they raised an alarm"
    assert passed([1e3], 400) == 0, "the next frames will show"


def test_frame_before_a_pause_counts_as_passed_by_the_rule(tmp_path: Path) -> None:
    station = folder_station(tmp_path, Rule(2, 3))
    station.judge(prepared(200), 1e3, heat(0.0))
    station.pause(1.0)
    station.resume()
    assert station.judge(prepared(201), 1.0, heat(0.0)).passed_by_rule == 1


def part_station(directory: Path, frames_per_part: int = 4) -> Station:
    """A station that judges parts of several frames, calibrated on good ones."""
    station = make(directory, FOLDER_PLAN, clear_after_seconds=0.0, grouping=ByCount(frames_per_part))
    feed(station, SETTLING_FRAMES + PLAN.frames * frames_per_part)
    assert station.phase is Phase.ARMED
    return station


def parts_of(outcomes: list[Outcome]) -> list[Part]:
    return [each.part for outcome in outcomes for each in (*outcome.late, outcome) if each.part is not None]


def test_window_of_parts_counts_parts_with_their_highest_scores(tmp_path: Path) -> None:
    """The threshold must be for the highest of four scores: that of single frames would alarm four times as often."""
    station, single = part_station(tmp_path / "parts"), folder_station(tmp_path / "frames")
    assert station.calibration is not None
    assert single.calibration is not None
    assert station.calibration.scores.size == PLAN.frames
    assert np.median(station.calibration.scores) > np.median(single.calibration.scores) + 1.0


def test_part_of_four_frames_has_one_verdict_and_one_alarm_from_its_worst_frame(tmp_path: Path) -> None:
    station = part_station(tmp_path)
    first = 4 * 200
    scores = [1.0, 1e3, 2e3, 1.0, *[1.0] * 4]
    outcomes = [station.judge(prepared(first + i), score, heat(0.0)) for i, score in enumerate(scores)]
    bad, good = parts_of(outcomes)
    assert (bad.verdict, bad.score, bad.frames, bad.frame) == (PartVerdict.NOK, 2e3, 4, first)
    assert (good.verdict, good.alarm, good.frame) == (PartVerdict.OK, None, first + 4)
    judged = [each for outcome in outcomes for each in (*outcome.late, outcome) if each.verdict is not None]
    assert [each.frame.index for each in judged] == [first + 2, first + 4], "evidence shows the worst frame"
    alarms = [alarm for each in judged for alarm in each.alarms]
    assert [(alarm.event.value, alarm.id) for alarm in alarms] == [("raised", bad.alarm), ("cleared", bad.alarm)]


def test_parts_that_are_not_judged_have_the_reason(tmp_path: Path) -> None:
    station = make(tmp_path, FOLDER_PLAN)
    (first,) = parts_of(feed(station, 1))
    assert (first.verdict, first.reason, first.score, first.threshold) == (
        PartVerdict.NOT_JUDGED,
        NotJudged.CALIBRATING,
        None,
        None,
    )
    station = folder_station(tmp_path / "armed")
    station.pause(1.0)
    (paused,) = parts_of(feed(station, 1, first=500))
    assert (paused.verdict, paused.reason, paused.threshold is not None) == (
        PartVerdict.NOT_JUDGED,
        NotJudged.PAUSED,
        True,
    )


def test_part_without_a_certificate_that_is_required_is_not_judged(tmp_path: Path) -> None:
    plan = replace(FOLDER_PLAN, budget=Budget.parse("1 per week"), require_certificate=True)
    station = make(tmp_path, plan)
    feed(station, SETTLING_FRAMES + plan.frames)
    assert station.phase is not Phase.ARMED
    (part,) = parts_of(feed(station, 1, first=500))
    assert part.verdict is PartVerdict.NOT_JUDGED
    assert part.reason in (NotJudged.UNCERTIFIED, NotJudged.CALIBRATING)


def test_last_alarm_of_a_part_ends_with_the_last_part(tmp_path: Path) -> None:
    station = folder_station(tmp_path)
    (raised,) = station.judge(prepared(200), 1000.0, heat(0.0)).alarms
    (ended,) = station.finish()
    assert isinstance(ended, Outcome)
    assert [(alarm.id, alarm.event, alarm.reason) for alarm in ended.alarms] == [(raised.id, AlarmEvent.CLEARED, None)]
    assert station.active_alarm_id is None


def test_last_part_that_was_held_back_has_a_result_too(tmp_path: Path) -> None:
    """A single black image raises no alarm about the camera yet; nothing follows that would decide."""
    station = folder_station(tmp_path)
    made = frame(200, image=np.zeros((32, 32, 1), np.uint8))
    held = station.judge(PreparedFrame(made, made.image, glance(made.image)), 1.0, heat(0.0))
    assert parts_of([held]) == []
    (ended,) = parts_of([each for each in station.finish() if isinstance(each, Outcome)])
    assert (ended.frame, ended.verdict, ended.reason) == (200, PartVerdict.NOT_JUDGED, NotJudged.BLIND)


def test_active_alarm_of_a_camera_without_parts_survives_the_end(armed: Station) -> None:
    armed.judge(prepared(200), 1000.0, heat(0.0))
    assert armed.finish() == []
    assert armed.active_alarm_id is not None


def test_gap_between_two_parts_is_one_between_captures_however_late_they_are_inspected(tmp_path: Path) -> None:
    station = make(tmp_path, FOLDER_PLAN, grouping=ByGap(0.5))
    assert parts_of(feed(station, 2)) == []
    late = prepared(1).frame.captured_monotonic + 3.0
    assert station.tick(late, frame_waits=True) == []
    assert parts_of(feed(station, 1, first=2)) == [], "it was captured in time"
    (ended,) = station.tick(late)
    assert isinstance(ended, Outcome)
    assert ended.part is not None
    assert ended.part.frame == 0


def test_trigger_is_rejected_by_a_camera_without_one(armed: Station) -> None:
    with pytest.raises(InspectdError, match=r"camera line1 has no trigger; wanted parts = \{ trigger = true \}"):
        armed.trigger("SN1", 1.0)


def test_each_of_ten_thousand_triggers_in_a_second_is_answered_or_rejected(tmp_path: Path) -> None:
    triggers = ByTrigger[Evidence](frames_per_part=1, timeout_seconds=0.5, max_waiting=100)
    station = make(tmp_path, FOLDER_PLAN, clear_after_seconds=0.0, grouping=triggers)
    feed(station, SETTLING_FRAMES)
    accepted, rejected, answered, first = list[str](), list[str](), list[Part](), SETTLING_FRAMES
    for number in range(10_000):
        seconds = 1000.0 + (first + number / 500) * INTERVAL_SECONDS
        try:
            station.trigger(f"SN{number}", seconds)
            accepted.append(f"SN{number}")
        except Temporary as error:
            rejected.append(str(error))
        answered += [each if isinstance(each, Part) else each.part for each in station.tick(seconds)]
        if number % 500 == 499:
            outcome = station.judge(prepared(first + number // 500 + 1), 1.0, heat(0.0))
            answered += [*outcome.unanswered, *parts_of([outcome])]
    answered += [each if isinstance(each, Part) else each.part for each in station.finish()]
    assert [part.part for part in answered] == accepted, "each once, in order"
    assert (len(accepted) > 200, len(accepted) + len(rejected)) == (True, 10_000)
    assert set(rejected) == {"100 triggers wait for their result already; wanted fewer at a time"}
    assert {part.reason for part in answered} >= {NotJudged.CALIBRATING, NotJudged.LATE, NotJudged.STOPPED}


def test_triggered_camera_judges_only_the_frames_of_its_parts(tmp_path: Path) -> None:
    triggers = ByTrigger[Evidence](frames_per_part=1, timeout_seconds=1.0, max_waiting=10)
    station = make(tmp_path, FOLDER_PLAN, clear_after_seconds=0.0, grouping=triggers)
    feed(station, SETTLING_FRAMES)
    chance = np.random.default_rng(1)
    for index in range(100):
        station.trigger(f"SN{index}", 1000.0 + (100 + 2 * index) * INTERVAL_SECONDS)
        station.judge(prepared(100 + 2 * index), chance.gamma(9.0), heat(chance.random()))
        station.judge(prepared(101 + 2 * index), 1000.0, heat(0.0))  # between two parts
    assert station.phase is Phase.ARMED
    idle = station.judge(prepared(500), 1000.0, heat(0.0))
    assert (idle.verdict, idle.alarms, idle.part) == (None, (), None), "no part was announced"
    station.trigger("bad", 1000.0 + 501 * INTERVAL_SECONDS)
    outcome = station.judge(prepared(501), 1000.0, heat(0.0))
    assert outcome.part is not None
    assert (outcome.part.part, outcome.part.verdict) == ("bad", PartVerdict.NOK)
    station.trigger("late", 1000.0 + 502 * INTERVAL_SECONDS)
    (late,) = station.tick(2000.0)
    assert isinstance(late, Part)
    assert (late.part, late.verdict, late.reason) == ("late", PartVerdict.NOT_JUDGED, NotJudged.LATE)


def test_parts_end_in_the_order_of_capture_also_where_one_between_them_was_dropped(tmp_path: Path) -> None:
    """A part whose frame was held back, one of which every frame was dropped, and the one of the latest frame."""
    station = make(tmp_path, FOLDER_PLAN, clear_after_seconds=0.0, grouping=ByCount[Evidence](2))
    station.judge(prepared(0), 1.0, heat(0.0))
    outcome = station.judge(prepared(5), 1.0, heat(0.0))
    ends = [each.frame if isinstance(each, Part) else each.part and each.part.frame for each in outcome.before]
    assert ends == [0, 2], "that of frame 0 is complete, that of frames 2 and 3 was never seen"
    assert outcome.part is not None
    assert outcome.part.frame == 5
