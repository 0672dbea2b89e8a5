"""Which alarms share a commit: those that wait while a slow disk is busy, and none if the disk is fast."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms.evidence import Evidence, EvidenceImage
from agent.core.crop import Crop
from agent.core.errors import Temporary
from agent.core.problems import Problems
from agent.core.records import AlarmKind, Frame, Verdict
from agent.messages.state import ModelPayload
from agent.outputs.mqtt.output import MqttOutput
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.outbox import Entry, Outbox
from agent.outputs.output import AlarmContext
from agent.outputs.recorder import AlarmJob, AlarmRecorder
from tests.support.clocks import FakeClock
from tests.support.delivery import AT, alarm_record

CONTEXT = AlarmContext(rule=None, calibration=None, model=ModelPayload(name="m", sha256="0" * 64), engine="e")


class SlowOutbox(Outbox):
    """An outbox whose commits take `seconds` on the clock, and fail while `failures` are left; records the groups."""

    def __init__(self, path: Path, clock: FakeClock, seconds: float, failures: int = 0) -> None:
        super().__init__(path)
        self._clock = clock
        self._seconds = seconds
        self._failures = failures
        self.groups: list[int] = []

    def accept_together(self, entries: Sequence[Entry]) -> list[int]:
        self._clock.seconds += self._seconds
        if self._failures > 0:
            self._failures -= 1
            raise Temporary("the disk is full")
        self.groups.append(len(entries))
        return super().accept_together(entries)


class SlowEvidence(Evidence):
    """Draws the images of an alarm in `seconds` on the clock."""

    def __init__(self, directory: Path, clock: FakeClock, seconds: float) -> None:
        super().__init__(directory)
        self._clock = clock
        self._seconds = seconds

    def save_frame(self, alarm_id: str, frame: Frame, window: tuple[int, int] | None = None) -> list[EvidenceImage]:
        self._clock.seconds += self._seconds
        return super().save_frame(alarm_id, frame, window)


def recorder(outbox: Outbox, evidence: Evidence, clock: FakeClock) -> AlarmRecorder:
    """With one output, which is not started: it only builds the messages."""
    output = MqttOutput("mqtt", MqttSettings(), site="plant", outbox=outbox, problems=Problems())
    return AlarmRecorder("plant", [output], outbox, evidence, clock=clock.monotonic)


def job(number: int) -> AlarmJob:
    """An alarm about one of two cameras, with a frame."""
    camera = f"cam{number % 2}"
    frame = Frame(camera, number, AT, float(number), np.zeros((32, 32, 1), np.uint8))
    return AlarmJob(replace(alarm_record(f"a{number}", camera), kind=AlarmKind.CAMERA), None, CONTEXT, frame)


# The first alarm is committed alone: how long a commit takes is not known yet.
@pytest.mark.parametrize(
    ("commit_seconds", "drawing_seconds", "groups"),
    [
        (4.0, 0.125, [1, 7]),
        (0.5, 0.25, [1, 2, 2, 2, 1]),
        (0.25, 0.25, [1] * 8),
        (0.0, 0.25, [1] * 8),
    ],
)
def test_waiting_alarms_share_a_commit_if_that_saves_time(
    tmp_path: Path, commit_seconds: float, drawing_seconds: float, groups: list[int]
) -> None:
    clock = FakeClock()
    outbox = SlowOutbox(tmp_path / "outbox.sqlite", clock, commit_seconds)
    thread = recorder(outbox, SlowEvidence(tmp_path / "evidence", clock, drawing_seconds), clock)
    for number in range(8):
        thread.put(job(number))
    thread.start()
    assert thread.finish(30)
    assert outbox.groups == groups
    alarms: list[tuple[int, str]] = []
    while rows := outbox.next_alarms(2):
        alarms += [(row.sequence, row.alarm) for row in rows]
        outbox.acknowledge([row.id for row in rows])
    assert alarms == [(number + 1, f"a{number}") for number in range(8)], "in order, each with its own number"
    assert len(outbox.next_images(100)) == 8
    outbox.close()


def test_alarm_is_stored_once_the_disk_has_room_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    outbox = SlowOutbox(tmp_path / "outbox.sqlite", clock, 0.0, failures=2)
    thread = recorder(outbox, Evidence(tmp_path / "evidence"), clock)
    thread.put(job(0))
    thread.start()
    assert thread.finish(30)
    assert [(row.sequence, row.alarm) for row in outbox.next_alarms(5)] == [(1, "a0")]
    assert caplog.text.count("1 alarms wait: the disk is full") == 2
    outbox.close()


def test_finish_ends_a_recorder_whose_disk_stays_full(tmp_path: Path) -> None:
    """The service has to stop in time; the alarms are lost, which `finish` returns."""
    clock = FakeClock()
    outbox = SlowOutbox(tmp_path / "outbox.sqlite", clock, 0.0, failures=10**9)
    thread = recorder(outbox, Evidence(tmp_path / "evidence"), clock)
    thread.put(job(0))
    thread.start()
    assert not thread.finish(0.1)
    thread.join(30)
    assert not thread.is_alive()
    assert outbox.waiting() == 0
    outbox.close()


def test_what_waits_for_stored_alarms_is_called_after_their_commit(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = SlowOutbox(tmp_path / "outbox.sqlite", clock, 0.0, failures=2)
    thread = recorder(outbox, Evidence(tmp_path / "evidence"), clock)
    called: list[tuple[int, int]] = []
    for number in range(3):
        thread.when_stored(lambda number=number: called.append((number, outbox.alarms_waiting())))  # type: ignore[misc]
        thread.put(job(number))
    thread.when_stored(lambda: called.append((3, outbox.alarms_waiting())))
    thread.start()
    assert thread.finish(30)
    assert [number for number, _ in called] == [0, 1, 2, 3]
    assert all(stored >= number for number, stored in called)
    outbox.close()


def test_nothing_is_called_for_alarms_that_were_not_stored(tmp_path: Path) -> None:
    clock = FakeClock()
    outbox = SlowOutbox(tmp_path / "outbox.sqlite", clock, 0.0, failures=10**9)
    thread = recorder(outbox, Evidence(tmp_path / "evidence"), clock)
    called: list[str] = []
    thread.put(job(0))
    thread.when_stored(lambda: called.append("stored"))
    thread.start()
    assert not thread.finish(0.1)
    thread.join(30)
    assert called == []
    outbox.close()


@pytest.mark.parametrize("crop", [None, Crop(x=20, y=12, width=32, height=24), Crop(x=0, y=0, width=80, height=60)])
def test_regions_of_an_alarm_are_in_the_pixels_of_its_frame(tmp_path: Path, crop: Crop | None) -> None:
    """The frame is the source image, and the hot spot lies on the same pixels in both, with a crop or without."""
    source = np.full((60, 80, 1), 30, np.uint8)
    source[16:22, 40:48] = 220
    inspected = source if crop is None else crop.cut(source)
    frame = Frame("cam", 7, AT, 0.0, inspected, source=source)
    verdict = Verdict(frame, 3.5, 3.5, 2.0, np.where(inspected[:, :, 0] > 100, 2.0, 0.1).astype(np.float32))
    outbox = Outbox(tmp_path / "outbox.sqlite")
    thread = recorder(outbox, Evidence(tmp_path / "evidence"), FakeClock())
    thread.put(AlarmJob(alarm_record("a1"), verdict, replace(CONTEXT, crop=crop)))
    thread.start()
    assert thread.finish(30)
    payload = json.loads(outbox.next_alarms(1)[0].payload)
    outbox.close()
    sent = cv2.imread(str(tmp_path / "evidence" / "cam" / "a1" / "frame.jpg"), cv2.IMREAD_GRAYSCALE)
    assert sent.shape == (60, 80)
    (region,) = payload["regions"]
    assert (region["x"], region["y"], region["width"], region["height"]) == (40, 16, 8, 6)
    assert sent[16:22, 40:48].min() > 150
    assert payload["crop"] == (None if crop is None else crop.model_dump())
