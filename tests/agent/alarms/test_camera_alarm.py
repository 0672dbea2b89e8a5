"""From findings to one alarm: after how long it is raised and cleared, at any frame rate."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from agent.alarms.camera_alarm import CameraAlarm, Condition, Observation
from agent.alarms.defect_alarm import ActiveAlarm
from agent.core.records import Alarm, AlarmEvent, AlarmKind
from calibration import Finding, Symptom
from tests.support.frames import START

BLACK = Finding(Symptom.BLACK, "black: no light")
SHIFTED = Finding(Symptom.SHIFTED, "shifted: by 12 %")


def camera_alarm(active_alarm: ActiveAlarm | None = None) -> CameraAlarm:
    ids = itertools.count(1)
    return CameraAlarm("line1", lambda: f"id-{next(ids)}", active_alarm)


def observation(index: int, seconds: float, score: float = 2.0) -> Observation:
    return Observation(START + timedelta(seconds=seconds), seconds, index, score, 1.0)


def play(made: CameraAlarm, findings: list[Finding | None], rate: float = 20.0, first: int = 0) -> list[Alarm]:
    alarms = (
        made.update(observation(first + index, (first + index) / rate), finding)
        for index, finding in enumerate(findings)
    )
    return [alarm for alarm in alarms if alarm is not None]


@pytest.mark.parametrize(("finding", "seconds"), [(BLACK, 0.5), (SHIFTED, 1.0)])
@pytest.mark.parametrize("rate", [8.0, 20.0, 50.0, 400.0])
def test_a_lasting_symptom_raises_the_alarm_in_time_at_any_frame_rate(
    finding: Finding, seconds: float, rate: float
) -> None:
    made = camera_alarm()
    (raised,) = play(made, [None] * 10 + [finding] * round(3 * rate), rate)
    assert (raised.kind, raised.event, raised.reason) == (AlarmKind.CAMERA, AlarmEvent.RAISED, finding.reason)
    assert (raised.frame - 9) / rate == pytest.approx(seconds, abs=1.01 / rate)
    assert made.condition is Condition.FAULTY


def test_a_slow_camera_raises_after_four_frames() -> None:
    (raised,) = play(camera_alarm(), [None, None] + [BLACK] * 6, rate=0.2)
    assert raised.frame == 5


def test_a_symptom_that_passes_raises_nothing() -> None:
    made = camera_alarm()
    assert play(made, [None] * 5 + [BLACK] * 8 + [None] * 40 + [SHIFTED] * 15 + [None]) == []
    assert made.condition is Condition.HEALTHY


def test_a_symptom_in_the_first_frame_alone_raises_nothing() -> None:
    made = camera_alarm()
    assert play(made, [BLACK]) == []
    assert made.condition is Condition.SUSPECT


def test_a_fault_in_every_second_frame_raises_one_alarm() -> None:
    raised = play(camera_alarm(), [None] * 10 + [BLACK, None] * 40)
    assert [alarm.event for alarm in raised] == [AlarmEvent.RAISED]


def test_alarm_is_cleared_after_half_a_second_without_a_symptom() -> None:
    made = camera_alarm()
    alarms = play(made, [None] + [BLACK] * 20 + [None] * 9 + [BLACK] + [None] * 20)
    raised, cleared = alarms
    assert raised.id == cleared.id
    assert (cleared.event, cleared.kind, cleared.reason) == (AlarmEvent.CLEARED, AlarmKind.CAMERA, BLACK.reason)
    assert cleared.frame == 1 + 20 + 9 + 1 + 9
    assert made.condition is Condition.HEALTHY


def test_the_next_alarm_takes_as_long_and_has_another_id() -> None:
    made = camera_alarm()
    alarms = play(made, [None] + [BLACK] * 20 + [None] * 20 + [BLACK] * 20)
    assert [(alarm.id, alarm.event) for alarm in alarms] == [
        ("id-1", AlarmEvent.RAISED),
        ("id-1", AlarmEvent.CLEARED),
        ("id-2", AlarmEvent.RAISED),
    ]
    assert alarms[2].frame == 50


def test_another_symptom_changes_the_reason_of_the_active_alarm() -> None:
    made = camera_alarm()
    play(made, [None] + [BLACK] * 15 + [SHIFTED] * 30)
    assert made.active_alarm is not None
    assert (made.active_alarm.id, made.active_alarm.reason) == ("id-1", SHIFTED.reason)


def test_a_lost_camera_has_one_alarm_until_healthy_frames_arrive() -> None:
    made = camera_alarm()
    play(made, [None] * 5)
    lost = made.mark_lost("no cable", observation(4, 2.0, 0.0))
    assert lost is not None
    assert (lost.reason, lost.frame, lost.score) == ("lost: no cable", 4, 0.0)
    assert made.mark_lost("no cable", observation(4, 3.0, 0.0)) is None
    assert play(made, [BLACK] * 5, first=100) == []
    (cleared,) = play(made, [None] * 15, first=105)
    assert cleared.id == lost.id


def test_an_active_alarm_survives_a_restart() -> None:
    made = camera_alarm(ActiveAlarm("old", 3.0, "black: no light"))
    assert made.condition is Condition.FAULTY
    (cleared,) = play(made, [None] * 15)
    assert (cleared.id, cleared.event, cleared.score, cleared.frame) == ("old", AlarmEvent.CLEARED, 3.0, 10)


def test_frames_without_time_between_them_raise_nothing() -> None:
    """A folder is read as fast as possible: all its frames may arrive within a millisecond."""
    made = camera_alarm()
    assert [made.update(observation(index, 5.0), BLACK) for index in range(100)] == [None] * 100


def test_a_fault_that_returns_at_once_is_cleared_later_each_time_and_raises_few_alarms() -> None:
    """Half a second black, a second not, for a minute and a half."""
    flickering = ([BLACK] * 12 + [None] * 20) * 56
    alarms = play(camera_alarm(), flickering)
    assert len([alarm for alarm in alarms if alarm.event is AlarmEvent.RAISED]) <= 3


def test_a_fault_that_returns_much_later_is_cleared_as_soon_as_the_first() -> None:
    alarms = play(camera_alarm(), ([BLACK] * 12 + [None] * 260) * 3)
    assert [alarm.event for alarm in alarms] == [AlarmEvent.RAISED, AlarmEvent.CLEARED] * 3
    for raised, cleared in zip(alarms[::2], alarms[1::2], strict=True):
        assert cleared.frame - raised.frame <= 14


def test_frames_before_an_opening_do_not_clear_the_alarm() -> None:
    made = camera_alarm()
    assert made.mark_lost("no cable", observation(0, 0.0)) is not None
    assert play(made, [None] * 8, first=1) == []
    made.restart_recovery()
    assert play(made, [None] * 8, first=9) == []
    (cleared,) = play(made, [None] * 8, first=17)
    assert cleared.event is AlarmEvent.CLEARED


def test_another_fault_soon_after_the_first_is_cleared_as_soon() -> None:
    alarms = play(camera_alarm(), [BLACK] * 12 + [None] * 20 + [SHIFTED] * 30 + [None] * 20)
    assert [alarm.event for alarm in alarms] == [AlarmEvent.RAISED, AlarmEvent.CLEARED] * 2
    assert alarms[3].frame - 61 <= 11
