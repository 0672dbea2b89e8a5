"""Certificate and watch of one calibration: they belong to it, survive restarts, and follow the judgements."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.review.promise import PromiseLife
from agent.review.records import AlarmRecord, Exposure, Judged, JudgedAlarm
from calibration import Calibration
from tests.support.judged import AT, calibration_for, judgement, record


def life_of(calibration: Calibration, *frames: int, until: int = 0) -> tuple[PromiseLife, list[AlarmRecord]]:
    """A life with alarms at these frames; it has lasted `until` frames, 20 a second."""
    life = PromiseLife(calibration)
    life.run = Exposure(until / 20, until)
    alarms = [record(seconds=at / 20, frames=at, calibration=calibration.id) for at in frames]
    for alarm in alarms:
        life.add(JudgedAlarm(alarm))
    return life, alarms


@pytest.mark.parametrize(("budget", "frames"), [("1 per 100 frames", 580), ("1 per minute", 580 * 12)])
def test_quiet_line_is_certified_after_six_spans(budget: str, frames: int) -> None:
    """In frames or in running time, as the budget is."""
    life, _ = life_of(calibration_for(budget), until=frames * 9 // 10)
    assert not life.update_certificate(AT)
    life.run = Exposure(frames / 20, frames)
    assert life.update_certificate(AT)
    certificate = life.certificate()
    assert certificate.certified
    assert certificate.since == AT
    assert certificate.exposure == pytest.approx(5.8)
    assert not life.update_certificate(AT + timedelta(hours=1)), "reported once"
    assert life.certificate().since == AT


def test_alarm_judged_true_does_not_count_against_the_certificate() -> None:
    life, (alarm,) = life_of(calibration_for(), 200, until=600)
    assert not life.update_certificate(AT)
    assert (life.certificate().false_alarms, life.certificate().unjudged) == (1, 1)
    life.add(JudgedAlarm(alarm, (judgement(alarm, Judged.FALSE),)))
    assert (life.certificate().false_alarms, life.certificate().unjudged) == (1, 0)
    life.add(JudgedAlarm(alarm, (judgement(alarm, Judged.TRUE),)))
    assert life.update_certificate(AT)


def test_certificate_is_withdrawn_when_alarms_outweigh_it() -> None:
    life, _ = life_of(calibration_for(), until=600)
    assert life.update_certificate(AT)
    for at in (601, 630, 660):
        life.add(JudgedAlarm(record(frames=at, calibration=life.calibration.id)))
    life.run = Exposure(33.0, 660)
    assert not life.update_certificate(AT)
    assert not life.certificate().certified


def test_broken_promise_names_its_begin_and_its_rate() -> None:
    life, alarms = life_of(calibration_for(), 500, 1500, *range(2000, 2040, 4), until=2040)
    assert life.update_watch()
    broken = life.broken
    assert broken is not None
    assert broken.since in (alarms[1].raised_at, alarms[2].raised_at)
    assert 15 < broken.rate < 30
    assert broken.unjudged == broken.alarms
    assert not life.update_watch(), "reported once"


def test_alarms_judged_true_restore_the_promise_at_once() -> None:
    life, alarms = life_of(calibration_for(), *range(100, 200, 10), until=400)
    assert life.update_watch()
    for alarm in alarms[:9]:
        life.add(JudgedAlarm(alarm, (judgement(alarm, Judged.TRUE),)))
    assert not life.update_watch()
    assert life.broken is None
    assert life.certificate().exposure == pytest.approx(4.0), "the evidence of before counts again"


def test_promise_is_kept_again_after_quiet_spans() -> None:
    """The lens was cleaned: six quiet spans after the storm, and the watch begins anew."""
    life, _ = life_of(calibration_for(), *range(100, 400, 5), until=400)
    assert life.update_watch()
    life.update_watch()
    life.run = Exposure(50.0, 1000)
    assert life.update_certificate(AT)
    assert life.broken is None
    assert not life.update_watch(), "the old storm is not reported again"
    for at in range(1100, 1140, 4):
        life.add(JudgedAlarm(record(frames=at, calibration=life.calibration.id)))
    life.run = Exposure(57.0, 1140)
    assert life.update_watch(), "a new one is"


def test_life_survives_a_restart() -> None:
    calibration = calibration_for()
    life, alarms = life_of(calibration, 50, 300, until=1000)
    assert life.update_certificate(AT)
    again = PromiseLife(calibration)
    known = [JudgedAlarm(alarm) for alarm in alarms]
    again.resume(life.exposure, life.to_json(), known)
    assert again.certificate() == life.certificate()
    again.run = Exposure(5.0, 100)
    assert again.exposure == Exposure(55.0, 1100)


def test_running_time_that_a_kill_has_lost_is_at_least_that_of_the_last_alarm() -> None:
    calibration = calibration_for()
    life = PromiseLife(calibration)
    life.resume(Exposure(5.0, 100), "", [JudgedAlarm(record(seconds=20.0, frames=400, calibration=calibration.id))])
    assert life.exposure == Exposure(20.0, 400)


def test_alarms_of_another_calibration_do_not_count() -> None:
    life, _ = life_of(calibration_for(), until=400)
    life.add(JudgedAlarm(record(frames=10, calibration="another")))
    assert life.certificate().false_alarms == 0
