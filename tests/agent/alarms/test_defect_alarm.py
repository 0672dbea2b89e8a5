"""An alarm is raised once and cleared once, with one id for both, across a restart too."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from agent.alarms.defect_alarm import ActiveAlarm, DefectAlarm
from agent.core.records import Alarm, AlarmEvent
from agent.messages.alarm import AlarmPayload
from tests.support.frames import verdict


def defect_alarm(clear_after_seconds: float = 0.19, active_alarm: ActiveAlarm | None = None) -> DefectAlarm:
    ids = itertools.count(1)
    return DefectAlarm("line1", clear_after_seconds, lambda: f"id-{next(ids)}", active_alarm)


def play(made: DefectAlarm, statistics: list[float], first: int = 0) -> list[Alarm]:
    return [alarm for i, statistic in enumerate(statistics) for alarm in made.update(verdict(first + i, statistic))]


def test_alarm_is_raised_once_and_cleared_after_the_quiet_time() -> None:
    alarms = play(defect_alarm(), [0.5, 2.0, 3.0, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert [(a.event, a.id, a.frame) for a in alarms] == [
        (AlarmEvent.RAISED, "id-1", 1),
        (AlarmEvent.CLEARED, "id-1", 6),
    ]
    assert alarms[0].score == 2.0
    assert alarms[1].score == 3.0, "the highest while it was active"


def test_alarm_names_the_file_of_its_frame() -> None:
    bad, good = (verdict(index, statistic) for index, statistic in ((0, 2.0), (9, 0.5)))
    made = defect_alarm(clear_after_seconds=0.0)
    named = [replace(one, frame=replace(one.frame, origin=f"{one.frame.index}.png")) for one in (bad, good)]
    alarms = [alarm for one in named for alarm in made.update(one)]
    assert [alarm.origin for alarm in alarms] == ["0.png", "9.png"]
    raised = AlarmPayload.of(alarms[0], sequence=1, site="plant")
    assert raised.origin == "0.png"


def test_alarm_stays_active_while_the_quiet_time_is_interrupted() -> None:
    alarms = play(defect_alarm(), [2.0, 0.5, 0.5, 0.5, 2.0, 0.5, 0.5, 0.5])
    assert [a.event for a in alarms] == [AlarmEvent.RAISED]


def test_the_next_alarm_has_another_id() -> None:
    alarms = play(defect_alarm(clear_after_seconds=0.0), [2.0, 0.5, 2.0, 0.5])
    assert [a.id for a in alarms] == ["id-1", "id-1", "id-2", "id-2"]


def play_parts(made: DefectAlarm, statistics: list[float]) -> list[tuple[AlarmEvent, str, int]]:
    verdicts = [verdict(index, statistic) for index, statistic in enumerate(statistics)]
    alarms = [alarm for one in verdicts for alarm in made.update(one, another_part=True)]
    return [(alarm.event, alarm.id, alarm.frame) for alarm in alarms]


def test_each_bad_part_raises_its_own_alarm_which_the_next_part_clears() -> None:
    assert play_parts(defect_alarm(clear_after_seconds=0.0), [2.0, 3.0, 0.5, 4.0, 0.5]) == [
        (AlarmEvent.RAISED, "id-1", 0),
        (AlarmEvent.CLEARED, "id-1", 1),
        (AlarmEvent.RAISED, "id-2", 1),
        (AlarmEvent.CLEARED, "id-2", 2),
        (AlarmEvent.RAISED, "id-3", 3),
        (AlarmEvent.CLEARED, "id-3", 4),
    ]


def test_the_alarm_of_a_file_has_the_id_of_the_file_and_is_raised_once() -> None:
    """A killed agent inspects the file of its latest alarm once more."""
    bad = verdict(0, 2.0)
    bad = replace(bad, frame=replace(bad.frame, id="file-1"))
    before = defect_alarm(clear_after_seconds=0.0)
    assert [alarm.id for alarm in before.update(bad, another_part=True)] == ["file-1"]
    after = defect_alarm(clear_after_seconds=0.0, active_alarm=before.active_alarm)
    assert after.update(bad, another_part=True) == ()
    assert [(alarm.event, alarm.id) for alarm in after.update(verdict(1, 2.0), another_part=True)] == [
        (AlarmEvent.CLEARED, "file-1"),
        (AlarmEvent.RAISED, "id-1"),
    ]


def test_bad_parts_within_a_quiet_time_are_one_alarm() -> None:
    played = play_parts(defect_alarm(clear_after_seconds=0.09), [2.0, 3.0, 0.5, 0.5, 0.5])
    assert played == [(AlarmEvent.RAISED, "id-1", 0), (AlarmEvent.CLEARED, "id-1", 3)]


def test_a_statistic_at_the_threshold_raises_nothing() -> None:
    """The calibration promises a rate of scores above the threshold."""
    assert play(defect_alarm(), [1.0, 1.0]) == []


def test_an_active_alarm_survives_a_restart() -> None:
    before = defect_alarm()
    raised = play(before, [2.0])[0]
    assert before.active_alarm is not None
    after = defect_alarm(active_alarm=ActiveAlarm.from_json(before.active_alarm.to_json()))
    cleared = play(after, [2.5, 0.1, 0.1, 0.1, 0.1, 0.1], first=500)
    assert [(a.event, a.id, a.score) for a in cleared] == [(AlarmEvent.CLEARED, raised.id, 2.5)]


def test_an_active_alarm_is_cleared_after_a_restart_with_good_frames() -> None:
    """Its quiet time begins with the first verdict."""
    alarms = play(defect_alarm(active_alarm=ActiveAlarm("old", 7.0)), [0.1, 0.1, 0.1, 0.1, 0.1])
    assert [(a.event, a.id, a.frame, a.score) for a in alarms] == [(AlarmEvent.CLEARED, "old", 4, 7.0)]


def test_active_alarm_is_kept_under_the_keys_that_earlier_releases_wrote() -> None:
    document = b'{"id": "a1", "highest_score": 2.5, "reason": null}'
    assert ActiveAlarm.from_json(document) == ActiveAlarm("a1", 2.5)
    assert ActiveAlarm("a1", 2.5).to_json() == document


@pytest.mark.parametrize("data", [b"{}", b"[]", b'{"id": "x"}', b"not json"])
def test_a_document_that_is_no_active_alarm_is_rejected(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text of json's own error is not ours
        ActiveAlarm.from_json(data)
