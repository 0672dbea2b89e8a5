"""Raised once, cleared once, one id for both, across a restart too."""

from __future__ import annotations

import itertools

import pytest

from agent.alarms.defect_alarm import ActiveAlarm, DefectAlarm
from agent.core.records import Alarm, AlarmEvent
from tests.support.frames import verdict


def tracker(clear_after_seconds: float = 0.19, open_alarm: ActiveAlarm | None = None) -> DefectAlarm:
    ids = itertools.count(1)
    return DefectAlarm("line1", clear_after_seconds, lambda: f"id-{next(ids)}", open_alarm)


def play(made: DefectAlarm, statistics: list[float], first: int = 0) -> list[Alarm]:
    alarms = (made.update(verdict(first + i, statistic)) for i, statistic in enumerate(statistics))
    return [alarm for alarm in alarms if alarm is not None]


def test_alarm_is_raised_once_and_cleared_after_the_quiet_time() -> None:
    alarms = play(tracker(), [0.5, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert [(a.event, a.id, a.frame) for a in alarms] == [
        (AlarmEvent.RAISED, "id-1", 1),
        (AlarmEvent.CLEARED, "id-1", 6),
    ]
    assert alarms[0].score == 2.0
    assert alarms[1].score == 3.0, "the highest while it stood"


def test_alarm_stays_while_the_quiet_time_is_broken() -> None:
    alarms = play(tracker(), [2.0, 0.5, 0.5, 0.5, 2.0, 0.5, 0.5, 0.5])
    assert [a.event for a in alarms] == [AlarmEvent.RAISED]


def test_the_next_alarm_has_another_id() -> None:
    alarms = play(tracker(clear_after_seconds=0.0), [2.0, 0.5, 2.0, 0.5])
    assert [a.id for a in alarms] == ["id-1", "id-1", "id-2", "id-2"]


def test_a_statistic_at_the_threshold_raises_nothing() -> None:
    """The promise is about scores above the threshold."""
    assert play(tracker(), [1.0, 1.0]) == []


def test_an_open_alarm_survives_a_restart() -> None:
    before = tracker()
    raised = play(before, [2.0])[0]
    assert before.open_alarm is not None
    after = tracker(open_alarm=ActiveAlarm.from_json(before.open_alarm.to_json()))
    cleared = play(after, [2.5, 0.1, 0.1, 0.1, 0.1, 0.1], first=500)
    assert [(a.event, a.id, a.score) for a in cleared] == [(AlarmEvent.CLEARED, raised.id, 2.5)]


def test_an_open_alarm_is_cleared_after_a_restart_among_good_frames() -> None:
    """Its quiet time begins with the first frame that is seen."""
    alarms = play(tracker(open_alarm=ActiveAlarm("old", 7.0)), [0.1, 0.1, 0.1, 0.1, 0.1])
    assert [(a.event, a.id, a.frame, a.score) for a in alarms] == [(AlarmEvent.CLEARED, "old", 4, 7.0)]


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"id": "x"}', b"not json"])
def test_open_alarm_from_something_else(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which words json chooses is its own affair
        ActiveAlarm.from_json(data)
