"""Which alarms share a commit: those that wait while a slow disk is busy, and none where the disk is fast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.alarms.evidence import Evidence
from agent.core.problems import Problems
from agent.core.records import AlarmKind
from agent.messages.state import ModelPayload
from agent.outputs.mqtt.output import MqttOutput
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.outbox import Entry, Outbox
from agent.outputs.output import AlarmContext
from agent.outputs.recorder import AlarmJob, AlarmRecorder
from tests.support.delivery import alarm_record

CONTEXT = AlarmContext(rule=None, calibration=None, model=ModelPayload(name="m", sha256="0" * 64), engine="e")


class DiskOf(Outbox):
    """The outbox on a disk that takes so long to sync; notes what shared a commit."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path)
        self._seconds = seconds
        self.groups: list[int] = []

    def accept_together(self, entries: Sequence[Entry]) -> list[int]:
        self.groups.append(len(entries))
        time.sleep(self._seconds)
        return super().accept_together(entries)


def output(outbox: Outbox) -> MqttOutput:
    """Not started: it only makes the messages."""
    return MqttOutput("mqtt", MqttSettings(), site="plant", outbox=outbox, problems=Problems())


def judged(number: int) -> AlarmJob:
    alarm = replace(alarm_record(f"a{number}", f"cam{number % 2}"), kind=AlarmKind.CAMERA)
    return AlarmJob(alarm, None, CONTEXT)


@pytest.mark.parametrize(("seconds", "drawing_seconds"), [(0.3, 0.01), (0.0, 0.2)])
def test_alarms_that_wait_share_a_commit_where_that_saves_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, drawing_seconds: float
) -> None:
    outbox = DiskOf(tmp_path / "outbox.sqlite", seconds)
    acceptance = AlarmRecorder("plant", [output(outbox)], outbox, Evidence(tmp_path / "evidence"))
    look = acceptance._look
    monkeypatch.setattr(acceptance, "_look", lambda judged: time.sleep(drawing_seconds) or look(judged))
    for number in range(8):
        acceptance.put(judged(number))
    acceptance.start()
    assert acceptance.finish(10)
    assert outbox.groups == ([1, 7] if seconds > drawing_seconds else [1] * 8)
    alarms = []
    while rows := outbox.next_alarms(2):
        alarms += [(row.sequence, row.alarm) for row in rows]
        outbox.acknowledge([row.id for row in rows])
    assert alarms == [(number + 1, f"a{number}") for number in range(8)], "in their order, with numbers of their own"
    outbox.close()
