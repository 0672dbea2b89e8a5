"""The queue of each output: what is in memory, what is read from the disk, and that outputs do not mix."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.outputs.outbox import Entry, MemoryLimits, Message, Outbox, Row
from tests.support.delivery import accept

SMALL = MemoryLimits(alarms=5, images=20, image_bytes=20_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


def accept_for(outbox: Outbox, camera: str, *outputs: str) -> int:
    """Accept an alarm with a document and an image for each output; both carry the output's name."""

    def build(sequence: int) -> list[Message]:
        documents = [
            Message(f"{name}/d", f"{name} {sequence}".encode(), "a", "raised", output=name) for name in outputs
        ]
        images = [
            Message(f"{name}/i", f"{name} {sequence}".encode() * 200, "a", "frame", is_image=True, output=name)
            for name in outputs
        ]
        return [*documents, *images]

    return outbox.accept(camera, build)


def drain_alarms(outbox: Outbox, output: str) -> list[Row]:
    """Acknowledge this output's alarms as they are offered, until there are none."""
    rows: list[Row] = []
    while offered := outbox.next_alarms(3, output=output):
        rows += offered
        outbox.acknowledge([row.id for row in offered])
    return rows


def drain_images(outbox: Outbox, output: str) -> list[Row]:
    rows: list[Row] = []
    while offered := outbox.next_images(4, output=output):
        rows += offered
        outbox.acknowledge([row.id for row in offered])
    return rows


def test_backlog_beyond_memory_is_read_from_the_disk_in_the_same_order(path: Path) -> None:
    outbox = Outbox(path, memory_limits=SMALL)
    for number in range(100):
        shots = {"heatmap": bytes([number]) * 2000, "frame": bytes([number]) * 1000}
        accept(outbox, f"a{number}", f"cam{number % 3}", images=shots)
    rows: list[Row] = []
    while batch := outbox.next_images(7, excluding={row.id for row in rows[-3:]}):
        rows += batch
        outbox.acknowledge(row.id for row in batch)
    assert [(row.alarm, row.part) for row in rows] == [
        (f"a{number}", part) for number in reversed(range(100)) for part in ("heatmap", "frame")
    ]
    assert all(row.payload == bytes([int(row.alarm[1:])]) * len(row.payload) and row.payload for row in rows)
    alarms: dict[str, list[int]] = {}
    while ahead := outbox.next_alarms(2):
        for row in ahead:
            alarms.setdefault(row.camera, []).append(row.sequence)
        outbox.acknowledge([row.id for row in ahead])
    assert alarms == {f"cam{first}": list(range(first + 1, 101, 3)) for first in range(3)}
    assert outbox.waiting() == 0
    outbox.close()


@pytest.mark.parametrize("limits", [None, SMALL], ids=["in memory", "on disk"])
@pytest.mark.parametrize("restart", [False, True])
def test_each_output_gets_its_own_rows_only_in_order_of_each_camera(
    path: Path, limits: MemoryLimits | None, restart: bool
) -> None:
    outbox = Outbox(path, memory_limits=limits)
    chance = random.Random(1)
    expected: dict[str, dict[str, list[int]]] = {name: {"cam0": [], "cam1": []} for name in ("mqtt", "webhook")}
    for _ in range(60):
        camera = chance.choice(["cam0", "cam1"])
        outputs = chance.choice([("mqtt",), ("webhook",), ("mqtt", "webhook")])
        sequence = accept_for(outbox, camera, *outputs)
        for output in outputs:
            expected[output][camera].append(sequence)
    if restart:
        outbox.close()
        outbox = Outbox(path, memory_limits=limits)
    for output, other in (("webhook", "mqtt"), ("mqtt", "webhook")):
        waiting = outbox.waiting(other)
        alarms = drain_alarms(outbox, output)
        assert {row.output for row in alarms} == {output}
        for camera, sequences in expected[output].items():
            assert [row.sequence for row in alarms if row.camera == camera] == sequences
        assert all(row.payload == f"{output} {row.sequence}".encode() for row in alarms)
        images = drain_images(outbox, output)
        assert [row.sequence for row in images] == sorted((row.sequence for row in alarms), reverse=True)
        assert all(row.payload == f"{output} {row.sequence}".encode() * 200 for row in images)
        assert outbox.waiting(output) == outbox.alarms_waiting(output) == 0
        assert outbox.waiting(other) == waiting, "one output's acknowledgements delete no row of another"
    outbox.close()


def test_output_that_delivers_nothing_does_not_hold_up_another(path: Path) -> None:
    outbox = Outbox(path, memory_limits=SMALL)
    for _ in range(30):
        accept_for(outbox, "cam", "stuck", "mqtt")
    assert [row.sequence for row in drain_alarms(outbox, "mqtt")] == list(range(1, 31))
    assert [row.sequence for row in outbox.next_alarms(5, output="stuck")] == [1]
    assert outbox.alarms_waiting("stuck") == 30
    outbox.close()


def test_rows_of_a_removed_output_are_dropped_and_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(path)
    outbox.accept_together(
        [
            Entry("cam", lambda n: [Message("t", b"mqtt", "a", "raised")]),
            Entry("cam", lambda n: [Message("t", b"old", "a", "raised", output="old")]),
            Entry("cam", lambda n: [Message("t", b"new", "a", "raised", output="new")]),
        ]
    )
    outbox.accept("cam", lambda n: [Message("t", bytes(9000), "a", "frame", is_image=True, output="old")])
    before = outbox.counts()
    assert outbox.keep_outputs(["mqtt", "new"]) == 2
    counts = outbox.counts()
    assert (outbox.waiting("old"), outbox.waiting("mqtt"), outbox.waiting("new")) == (0, 1, 1)
    assert counts.waiting_bytes < before.waiting_bytes - 9000, "they no longer use the quota"
    assert counts.missing == (), "other outputs have these numbers"
    (incident,) = outbox.incidents()
    assert "2 waiting messages of outputs that are no longer configured" in incident
    assert incident in caplog.text
    assert outbox.keep_outputs(["mqtt", "new"]) == 0
    assert len(outbox.incidents()) == 1
    outbox.close()
    outbox = Outbox(path)
    assert [row.payload for row in drain_alarms(outbox, "mqtt")] == [b"mqtt"]
    assert [row.payload for row in drain_alarms(outbox, "new")] == [b"new"]
    assert outbox.waiting() == 0
    outbox.close()
