"""The pictures of the outbox on the disk: torn, damaged, reclaimed, bounded; and what an older version left."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import Permanent
from agent.core.records import AlarmEvent
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.outbox.image_files import (
    KEPT_SPARES,
    MIN_SEGMENT_BYTES,
    PAGE_BYTES,
    WORTH_A_THREAD,
    Damaged,
    ImageFiles,
    Place,
)
from tests.support.delivery import accept

QUOTA = 32 * MIN_SEGMENT_BYTES


@pytest.fixture
def segments(tmp_path: Path) -> ImageFiles:
    made = ImageFiles(tmp_path / "pictures", max_bytes=QUOTA)
    made.open({})
    return made


def commit(segments: ImageFiles, payloads: Iterable[bytes], removed: Iterable[Place] = ()) -> list[Place]:
    """Pictures of one durable transaction."""
    places = [segments.put(payload) for payload in payloads]
    segments.sync()
    segments.committed(places, removed, durable=True)
    return places


def named(*places: Place) -> dict[int, tuple[int, int]]:
    """What the rows of these places tell an opening store."""
    found: dict[int, tuple[int, int]] = {}
    for place in places:
        rows, end = found.get(place.segment, (0, 0))
        found[place.segment] = (rows + 1, max(end, place.offset + place.length))
    return found


def file_of(segments: ImageFiles, place: Place) -> Path:
    return segments.directory / f"segment-{place.segment:06}"


def test_pictures_read_back_also_after_a_restart(segments: ImageFiles) -> None:
    payloads = [bytes([number]) * (number * 1000) for number in range(1, 30)]
    places = commit(segments, payloads[:10]) + commit(segments, payloads[10:])
    assert [segments.read(place) for place in places] == payloads
    segments.open(named(*places))
    (more,) = commit(segments, [b"more"])
    assert [segments.read(place) for place in (*places, more)] == [*payloads, b"more"]


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("size", [1000, WORTH_A_THREAD // 2 + 1, WORTH_A_THREAD])
def test_pictures_that_were_written_meanwhile_read_back(
    segments: ImageFiles, size: int, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Little of it waits for `sync`, much is written on a thread of its own; at last all of it is durable."""
    done: list[str] = []
    for name in ("pwritev", "fdatasync"):
        call = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, call=call: (call(*a), done.append(name))[0])
    payloads = [bytes([number]) * size for number in range(1, 4)]
    places = [segments.put(payload) for payload in payloads]
    if begun:
        segments.begin_sync()
    segments.sync()
    assert done.count("fdatasync") == 1
    assert done[-1] == "fdatasync"
    segments.committed(places, [], durable=True)
    assert [segments.read(place) for place in places] == payloads
    segments.close()


def test_undone_write_on_the_other_thread_leaves_no_room_taken(segments: ImageFiles) -> None:
    """It is waited for: the next write goes to the same place, and the file is not longer than it is known to be."""
    segments.put(bytes(3 * WORTH_A_THREAD))
    segments.begin_sync()
    segments.undo()
    assert segments.bytes_on_disk == sum(file.stat().st_size for file in segments.directory.iterdir())
    (place,) = commit(segments, [b"next"])
    assert place.offset == 0
    assert segments.read(place) == b"next"
    segments.close()


def test_write_on_the_other_thread_is_waited_for_before_its_file_is_set_aside(
    segments: ImageFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database turns out to be corrupt while pictures are written: none of them gets into another file."""
    pwritev = os.pwritev

    def slow(*arguments: Any) -> int:
        time.sleep(0.1)
        return pwritev(*arguments)

    monkeypatch.setattr(os, "pwritev", slow)
    old = segments.put(b"old" * WORTH_A_THREAD)
    written = file_of(segments, old)
    segments.set_aside(".aside")
    (place,) = commit(segments, [b"new" * 1000])
    aside = segments.directory.with_name(segments.directory.name + ".aside") / written.name
    assert aside.read_bytes()[: old.length] == b"old" * WORTH_A_THREAD
    assert segments.read(place) == b"new" * 1000
    segments.close()


def test_write_begins_on_a_page_of_its_own(segments: ImageFiles) -> None:
    """A page that is torn holds nothing that was promised before."""
    first, second = commit(segments, [b"a" * 10, b"b" * 10])
    (third,) = commit(segments, [b"c"])
    assert (first.offset, second.offset, third.offset) == (0, 10, PAGE_BYTES)


def test_torn_write_at_the_end_is_named_by_none_and_gone_over(segments: ImageFiles) -> None:
    (kept,) = commit(segments, [b"kept" * 1000])
    segments.put(b"torn" * 1000)
    segments.sync()  # and the power goes before the commit
    with file_of(segments, kept).open("r+b") as file:
        file.truncate(PAGE_BYTES + 1234)
    again = ImageFiles(segments.directory, max_bytes=QUOTA)
    again.open(named(kept))
    (next_one,) = commit(again, [b"next" * 1000])
    assert next_one.segment == kept.segment
    assert next_one.offset == PAGE_BYTES
    assert again.read(kept) == b"kept" * 1000
    assert again.read(next_one) == b"next" * 1000


def test_undone_pictures_are_gone_over(segments: ImageFiles) -> None:
    before = segments.put(b"a" * 5000)
    segments.undo()
    (after,) = commit(segments, [b"b" * 6000])
    assert (after.segment, after.offset) == (before.segment, before.offset)


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_damaged_picture_is_told_from_a_whole_one(segments: ImageFiles, damage: str) -> None:
    (place,) = commit(segments, [b"picture" * 1000])
    spoil(file_of(segments, place), damage, place)
    with pytest.raises(Damaged):
        segments.read(place)


def spoil(file: Path, damage: str, place: Place) -> None:
    if damage == "gone":
        file.unlink()
        return
    content = bytearray(file.read_bytes())
    middle = place.offset + place.length // 2
    content[middle] ^= 1
    file.write_bytes(bytes(content[:middle] if damage == "truncated" else content))


def test_emptied_segment_is_written_again_only_once_the_deletion_is_durable(segments: ImageFiles) -> None:
    """A power cut may bring back a row whose deletion was not synced: its picture has to be there."""
    (place,) = commit(segments, [b"delivered"])
    segments.committed([], [place], durable=False)
    assert segments.emptied == 1
    other = segments.put(b"another")
    assert other.segment != place.segment
    segments.sync()
    assert segments.read(place) == b"delivered"
    segments.committed([other], [], durable=True)
    assert segments.emptied == 0
    commit(segments, [bytes(MIN_SEGMENT_BYTES)])
    (reused,) = commit(segments, [b"third"])
    assert reused.segment == place.segment


def test_spares_are_few_and_written_over(segments: ImageFiles) -> None:
    waiting: list[Place] = []
    for number in range(200):
        waiting += commit(segments, [bytes([number]) * 30_000])
        if len(waiting) > 10:
            commit(segments, [], removed=[waiting.pop(0)])
    assert len(list(segments.directory.iterdir())) <= KEPT_SPARES + 10 * 30_000 // MIN_SEGMENT_BYTES + 2
    assert segments.bytes_on_disk == sum(file.stat().st_size for file in segments.directory.iterdir())
    assert [segments.read(place)[0] for place in waiting] == list(range(190, 200))


# In the outbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.mark.parametrize("damage", ["flipped", "truncated", "gone"])
def test_damaged_picture_is_dropped_and_counted_and_costs_nothing_else(
    path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(path, max_bytes=QUOTA)
    accept(outbox, "whole", pictures={"heatmap": b"whole" * 1000})
    accept(outbox, "broken", pictures={"heatmap": b"broken" * 1000})
    place = outbox.next_pictures(1)[0].place
    assert place is not None
    outbox.close()
    spoil(path.with_name("outbox.sqlite.pictures") / f"segment-{place.segment:06}", damage, place)
    outbox = Outbox(path, max_bytes=QUOTA)
    found = [row.alarm for _ in range(2) for row in outbox.next_pictures(5)]
    assert found == ([] if damage == "gone" else ["whole", "whole"])
    counts = outbox.counts()
    assert counts.dropped_pictures == (2 if damage == "gone" else 1)
    assert counts.waiting == 2 + len(found) // 2
    assert [row.alarm for row in outbox.next_alarms(5)] == ["whole"]
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1, "told once"
    assert accept(outbox, "next", pictures={"heatmap": b"next"}) == 3
    assert outbox.next_pictures(1)[0].payload == b"next"
    outbox.close()


def test_pictures_beyond_memory_come_from_the_disk_in_the_same_order(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outputs.outbox.output_queue.FRESH_BYTES", 20_000)
    monkeypatch.setattr("agent.outputs.outbox.output_queue.KNOWN_PICTURES", 20)
    monkeypatch.setattr("agent.outputs.outbox.output_queue.KNOWN_ALARMS", 5)
    outbox = Outbox(path)
    for number in range(100):
        shots = {"heatmap": bytes([number]) * 2000, "frame": bytes([number]) * 1000}
        accept(outbox, f"a{number}", f"cam{number % 3}", pictures=shots)
    rows = []
    while batch := outbox.next_pictures(7, excluding={row.id for row in rows[-3:]}):
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


def test_stragglers_that_hold_whole_segments_give_way(path: Path) -> None:
    """One picture of each segment stays: few bytes wait, and the disk is bounded nevertheless."""
    outbox = Outbox(path, max_bytes=QUOTA)
    for number in range(400):
        accept(outbox, f"a{number}", pictures={"heatmap": bytes(20_000)})
        for row in outbox.next_pictures(3):
            if row.sequence % 4 != 1:
                outbox.acknowledge([row.id])
        outbox.acknowledge([row.id for row in outbox.next_alarms(5)])
        assert outbox.bytes_on_disk() < 2 * QUOTA + 6 * 1024**2
    counts = outbox.counts()
    assert counts.dropped_pictures > 0
    assert counts.dropped_alarms == 0
    outbox.close()


def test_corrupt_database_takes_its_pictures_aside(path: Path) -> None:
    outbox = Outbox(path, max_bytes=QUOTA)
    accept(outbox, "lost", pictures={"heatmap": b"lost" * 1000})
    outbox.close()
    path.write_bytes(b"not a database")
    outbox = Outbox(path, max_bytes=QUOTA)
    (aside,) = path.parent.glob("outbox.sqlite.pictures.corrupt-*")
    assert any(b"lost" * 1000 in file.read_bytes() for file in aside.iterdir())
    accept(outbox, "new", pictures={"heatmap": b"new"})
    assert [row.payload for row in outbox.next_pictures(5)] == [b"new"]
    outbox.close()


def test_alarms_accepted_together_are_all_there_or_none(path: Path) -> None:
    def build(sequence: int) -> list[Message]:
        if sequence == 3:
            raise ValueError("no picture")
        return [Message("t", b"{}", "a", "raised"), Message("t/p", b"p" * 9000, "a", "heatmap", picture=True)]

    outbox = Outbox(path)
    assert outbox.accept_together([Entry("cam", build), Entry("cam", build)]) == [1, 2]
    with pytest.raises(ValueError, match="no picture"):
        outbox.accept_together([Entry("cam", build, {"open": b"a"})] * 3)
    assert outbox.state() == {}
    assert outbox.waiting() == 4
    assert [row.payload for row in outbox.next_pictures(5)] == [b"p" * 9000] * 2
    outbox.close()


# The tables as they were before pictures lay in segments.
OLD_SCHEMA = """
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, camera TEXT NOT NULL, alarm TEXT NOT NULL,
    part TEXT NOT NULL, picture INTEGER NOT NULL, topic TEXT NOT NULL, media_type TEXT NOT NULL,
    cost INTEGER NOT NULL, captured REAL, payload BLOB NOT NULL);
CREATE INDEX message_order ON message (picture, camera, id);
CREATE INDEX message_age ON message (picture, sequence, id);
CREATE INDEX message_alarm ON message (alarm, part);
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE agent_state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE missing (sequence INTEGER PRIMARY KEY);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    payload BLOB);
INSERT INTO counter VALUES ('sequence', 7), ('dropped_pictures', 3);
INSERT INTO agent_state VALUES ('alarm/cam', x'616263');
INSERT INTO message VALUES
    (40, 6, 'cam', 'a6', 'raised', 0, 't/a6', 'application/json', 300, 1.5, x'7b7d'),
    (41, 6, 'cam', 'a6', 'heatmap', 1, 't/a6/heatmap', 'image/png', 400, 1.5, x'504e47'),
    (42, 7, 'cam', 'a6', 'cleared', 0, 't/a6', 'application/json', 300, 1.6, x'7b7d');
"""


def test_database_of_the_version_before_is_delivered_and_goes_on(path: Path) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(OLD_SCHEMA)
    db.close()
    for _ in range(2):  # and the second opening finds nothing to do
        outbox = Outbox(path, max_bytes=QUOTA)
        assert outbox.state() == {"alarm/cam": b"abc"}
        assert (outbox.waiting(), outbox.alarms_waiting()) == (3, 2)
        assert outbox.counts().dropped_pictures == 3
        assert [(row.id, row.payload) for row in outbox.next_pictures(5)] == [(41, b"PNG")]
        assert [(row.id, row.part, row.captured_monotonic) for row in outbox.next_alarms(5)] == [(40, "raised", None)]
        outbox.close()
    outbox = Outbox(path, max_bytes=QUOTA)
    assert accept(outbox, "a8", event=AlarmEvent.RAISED, pictures={"heatmap": b"new"}) == 8
    assert [row.payload for row in outbox.next_pictures(5)] == [b"new", b"PNG"]
    outbox.acknowledge([40, 41, 42])
    assert [row.alarm for row in outbox.next_alarms(5)] == ["a8"]
    outbox.close()


def test_database_of_a_later_version_is_left_alone(path: Path) -> None:
    Outbox(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Permanent, match="version 99"):
        Outbox(path)
    assert not list(path.parent.glob("*.corrupt-*"))
