"""Alarms from before the clock was set: marked, and corrected once it is, on clocks of the tests' own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agent.alarms.evidence import Evidence
from agent.outputs.capture_time import CaptureTime
from agent.outputs.outbox import Outbox
from agent.outputs.recorder import AlarmJob, AlarmRecorder
from tests.agent.outputs.test_recorder import job, recorder
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.clocks import FakeClock
from tests.support.delivery import QUICK, delivering

BOOT = datetime(1970, 1, 1, 0, 0, 20, tzinfo=timezone.utc)
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=timezone.utc)


class Device:
    """A device whose wall clock is at its start until `set_clock`."""

    def __init__(self) -> None:
        self.monotonic = 20.0
        self.offset = BOOT - timedelta(seconds=20)
        self.synchronised: bool | None = False

    def now(self) -> datetime:
        return self.offset + timedelta(seconds=self.monotonic)

    def set_clock(self) -> None:
        self.offset, self.synchronised = NOW - timedelta(seconds=self.monotonic), True

    def capture_time(self) -> CaptureTime:
        return CaptureTime(lambda: self.monotonic, now=self.now, synchronised=lambda: self.synchronised)


def store(outbox: Outbox, directory: Path, alarm: AlarmJob, synchronised: bool | None) -> None:
    template = recorder(outbox, Evidence(directory / "evidence"), FakeClock())
    thread = AlarmRecorder(
        "plant", template._outputs, outbox, template._evidence, clock_synchronised=lambda: synchronised
    )
    thread.start()
    thread.put(alarm)
    assert thread.finish(10)


def alarm_at(device: Device) -> AlarmJob:
    made = job(0)
    assert made.frame is not None
    frame = replace(made.frame, captured_at=device.now(), captured_monotonic=device.monotonic)
    return replace(made, alarm=replace(made.alarm, captured_at=device.now()), frame=frame)


@pytest.mark.parametrize(
    ("set_before_delivery", "captured_at", "clock"),
    [(True, "2026-03-01T11:59:30.000Z", "corrected"), (False, "1970-01-01T00:00:20.000Z", "unsynchronised")],
)
def test_alarm_from_before_the_clock_was_set(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, set_before_delivery: bool, captured_at: str, clock: str
) -> None:
    """It was captured 30 seconds before the clock was set."""
    device, broker = Device(), mosquitto()
    subscriber = Subscriber(broker, "inspectd/+/+/alarm")
    outbox = Outbox(tmp_path / "outbox.sqlite")
    store(outbox, tmp_path, alarm_at(device), device.synchronised)
    device.monotonic += 30.0
    if set_before_delivery:
        device.set_clock()
    options = {"outbox": outbox, "timing": QUICK, "capture_time": device.capture_time()}
    with delivering(broker.url, tmp_path, **options) as (_, publisher):  # type: ignore[arg-type]
        assert publisher.wait_until_delivered(60)
    wait_until(lambda: subscriber.messages)
    alarm = json.loads(subscriber.messages[0].payload)
    assert (alarm["captured_at"], alarm["clock"]) == (captured_at, clock)
    assert alarm["epoch"] == outbox.epoch


def test_alarm_of_an_earlier_run_keeps_its_mark(tmp_path: Path) -> None:
    """Its monotonic clock is gone."""
    device = Device()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    store(outbox, tmp_path, alarm_at(device), device.synchronised)
    outbox.close()
    outbox = Outbox(tmp_path / "outbox.sqlite")
    device.set_clock()
    (row,) = outbox.next_alarms(1)
    assert device.capture_time().corrected(row) == row
    assert json.loads(row.payload)["clock"] == "unsynchronised"
    outbox.close()


@pytest.mark.parametrize("synchronised", [True, None])
def test_alarm_is_not_marked_unless_the_clock_is_known_to_be_wrong(tmp_path: Path, synchronised: bool | None) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    store(outbox, tmp_path, job(0), synchronised)
    (row,) = outbox.next_alarms(1)
    assert json.loads(row.payload)["clock"] is None
    outbox.close()


def test_alarm_of_a_file_is_not_marked(tmp_path: Path) -> None:
    """Its time is that of the file, which another computer wrote."""
    outbox = Outbox(tmp_path / "outbox.sqlite")
    made = job(0)
    store(outbox, tmp_path, replace(made, alarm=replace(made.alarm, origin="part_1.png")), False)
    (row,) = outbox.next_alarms(1)
    assert json.loads(row.payload)["clock"] is None
    outbox.close()


def test_numbers_that_return_after_a_restored_backup_have_another_epoch(tmp_path: Path) -> None:
    seen: set[tuple[int, str]] = set()
    for number in range(3):
        outbox = Outbox(tmp_path / f"{number}" / "outbox.sqlite")  # each time from before the first alarm
        store(outbox, tmp_path, job(0), True)
        (row,) = outbox.next_alarms(1)
        document = json.loads(row.payload)
        seen.add((document["sequence"], document["epoch"]))
        outbox.close()
    assert {sequence for sequence, _ in seen} == {1}
    assert len(seen) == 3
