"""Results of parts: stored in order, each once, apart from the alarms, and kept while the disk is full."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.core.errors import Temporary
from agent.core.problems import Problems
from agent.core.records import NotJudged, Part, PartVerdict
from agent.messages import ModelPayload
from agent.outputs.mqtt.output import MqttOutput
from agent.outputs.mqtt.settings import MqttSettings
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.output import Output, RecordedResult
from agent.outputs.result_recorder import MAX_TOGETHER, MAX_WAITING, ResultRecorder
from tests.support.clocks import FakeClock
from tests.support.delivery import AT

MODEL = ModelPayload(name="m", sha256="0" * 64)


class CountingOutbox(Outbox):
    """An outbox that fails while `failures` are left, and records how many results shared each commit."""

    def __init__(self, path: Path, failures: int = 0) -> None:
        super().__init__(path)
        self._failures = failures
        self.groups: list[int] = []

    def accept_together(self, entries: Sequence[Entry]) -> list[int]:
        if self._failures > 0:
            self._failures -= 1
            raise Temporary("the disk is full")
        self.groups.append(len(entries))
        return super().accept_together(entries)


class NoResults(MqttOutput):
    """An output that has no message for a result, as one that shows a state only."""

    def result_message(self, recorded: RecordedResult) -> Message | None:
        return None


def output(outbox: Outbox, kind: type[MqttOutput] = MqttOutput) -> MqttOutput:
    """It is not started: it only builds the messages."""
    return kind("mqtt", MqttSettings(), site="plant", outbox=outbox, problems=Problems())


def part(number: int, *, verdict: PartVerdict = PartVerdict.OK, id: str | None = None) -> Part:
    judged = verdict is not PartVerdict.NOT_JUDGED
    return Part(
        part=f"p{number}",
        camera=f"cam{number % 2}",
        verdict=verdict,
        reason=None if judged else NotJudged.BLIND,
        score=0.5 if judged else None,
        threshold=1.0,
        calibration="c1",
        frames=1,
        frame=number,
        captured_at=AT,
        started_monotonic=float(number),
        id=id,
    )


def recorded(
    path: Path, parts: Sequence[Part], *, failures: int = 0, seconds: float = 0.0, outputs: Sequence[Output] = ()
) -> tuple[CountingOutbox, list[dict[str, object]]]:
    """The outbox after these parts were handed over before the start, and the documents of the results in it."""
    outbox = CountingOutbox(path, failures)
    clock = FakeClock()
    clock.seconds = seconds
    thread = ResultRecorder("plant", outputs or [output(outbox)], outbox, clock=clock.monotonic)
    for each in parts:
        thread.put(each, MODEL, "onnxruntime")
    thread.start()
    assert thread.finish(30)
    return outbox, documents(outbox)


def documents(outbox: Outbox) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    while rows := outbox.next_alarms(100):
        found += [json.loads(row.payload) for row in rows]
        outbox.acknowledge([row.id for row in rows])
    return found


def test_results_are_stored_in_order_with_gapless_numbers(tmp_path: Path) -> None:
    outbox, found = recorded(tmp_path / "results.sqlite", [part(number) for number in range(250)])
    assert [each["part"] for each in found] == [f"p{number}" for number in range(250)]
    assert [each["sequence"] for each in found] == list(range(1, 251))
    assert {each["epoch"] for each in found} == {outbox.epoch}
    assert outbox.groups == [MAX_TOGETHER, MAX_TOGETHER, 50], "those that wait share a commit, a hundred at most"
    outbox.close()


def test_document_has_what_the_part_has(tmp_path: Path) -> None:
    parts = [part(2, id="0190-file"), part(3, verdict=PartVerdict.NOT_JUDGED)]
    outbox, (of_file, blind) = recorded(tmp_path / "results.sqlite", parts, seconds=2.5)
    assert (of_file["id"], of_file["verdict"], of_file["camera"], of_file["site"]) == (
        "0190-file",
        "ok",
        "cam0",
        "plant",
    )
    assert of_file["latency_ms"] == 500.0
    assert (blind["verdict"], blind["reason"], blind["score"]) == ("not_judged", "blind", None)
    assert blind["id"] not in (None, of_file["id"])
    outbox.close()


def test_results_wait_while_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox, found = recorded(tmp_path / "results.sqlite", [part(0), part(1)], failures=2)
    assert [each["part"] for each in found] == ["p0", "p1"]
    assert caplog.text.count("2 results wait: the disk is full") == 2
    outbox.close()


def test_finish_ends_a_recorder_whose_disk_stays_full(tmp_path: Path) -> None:
    """The service has to stop in time; `finish` returns that results were lost."""
    outbox = CountingOutbox(tmp_path / "results.sqlite", failures=10**9)
    thread = ResultRecorder("plant", [output(outbox)], outbox)
    thread.put(part(0), MODEL, "onnxruntime")
    thread.start()
    assert not thread.finish(0.1)
    thread.join(30)
    assert not thread.is_alive()
    assert outbox.waiting() == 0
    outbox.close()


def test_inspection_waits_for_the_disk_once_too_many_results_do(tmp_path: Path) -> None:
    outbox = CountingOutbox(tmp_path / "results.sqlite")
    thread = ResultRecorder("plant", [output(outbox)], outbox)
    for number in range(MAX_WAITING):
        thread.put(part(number), MODEL, "onnxruntime")
    inspection = threading.Thread(target=thread.put, args=(part(MAX_WAITING), MODEL, "onnxruntime"))
    inspection.start()
    inspection.join(0.2)
    assert inspection.is_alive()
    thread.start()
    inspection.join(30)
    assert thread.finish(30)
    assert [each["part"] for each in documents(outbox)][-1] == f"p{MAX_WAITING}"
    outbox.close()


def test_callback_runs_after_the_results_before_it_are_stored(tmp_path: Path) -> None:
    """A file of a folder is noted as inspected only then."""
    outbox = CountingOutbox(tmp_path / "results.sqlite", failures=1)
    thread = ResultRecorder("plant", [output(outbox)], outbox)
    stored: list[int] = []
    for number in range(2):
        thread.put(part(number), MODEL, "onnxruntime")
        thread.when_stored(lambda: stored.append(outbox.waiting()))
    thread.start()
    assert thread.finish(30)
    assert stored == [2, 2]
    outbox.close()


def test_output_without_a_message_for_results_takes_no_number_from_the_others(tmp_path: Path) -> None:
    outbox = CountingOutbox(tmp_path / "results.sqlite")
    outputs = [output(outbox, NoResults), output(outbox)]
    thread = ResultRecorder("plant", outputs, outbox)
    for number in range(3):
        thread.put(part(number), MODEL, "onnxruntime")
    thread.start()
    assert thread.finish(30)
    assert [each["sequence"] for each in documents(outbox)] == [1, 2, 3]
    outbox.close()
