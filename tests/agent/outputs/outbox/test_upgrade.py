"""Databases that earlier releases wrote are upgraded in place, with what was waiting in them."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.core.records import AlarmEvent
from agent.outputs.outbox import Outbox
from tests.support.delivery import accept

# The tables of version 0: every image is in its row.
VERSION_0 = """
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

# The tables of version 1: images are in segment files, and rows do not name their output, which is MQTT.
VERSION_1 = f"""
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, camera TEXT NOT NULL, alarm TEXT NOT NULL,
    part TEXT NOT NULL, picture INTEGER NOT NULL, topic TEXT NOT NULL, media_type TEXT NOT NULL,
    cost INTEGER NOT NULL, captured REAL, payload BLOB NOT NULL,
    segment INTEGER, start INTEGER, length INTEGER, checksum INTEGER);
CREATE INDEX alarm_order ON message (camera, id) WHERE picture = 0;
CREATE INDEX alarm_parts ON message (alarm, part) WHERE picture = 0;
CREATE INDEX picture_order ON message (sequence, id) WHERE picture = 1;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE agent_state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE missing (sequence INTEGER PRIMARY KEY);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    payload BLOB);
INSERT INTO counter VALUES ('sequence', 7), ('dropped_pictures', 3);
INSERT INTO agent_state VALUES ('alarm/cam', x'616263');
INSERT INTO missing VALUES (2);
INSERT INTO dead_letter VALUES (1, '2026-03-01T12:00:00+00:00', 2, 't/a2', 'topic name invalid', x'7b7d');
INSERT INTO message VALUES
    (40, 6, 'cam', 'a6', 'raised', 0, 't/a6', 'application/json', 300, 1.5, x'7b7d', NULL, NULL, NULL, NULL),
    (41, 6, 'cam', 'a6', 'heatmap', 1, 't/a6/heatmap', 'image/png', 400, 1.5, x'', 3, 4096, 3, {zlib.crc32(b"PNG")}),
    (42, 7, 'cam', 'a6', 'cleared', 0, 't/a6', 'application/json', 300, 1.6, x'7b7d', NULL, NULL, NULL, NULL);
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


def write_database(path: Path, statements: str, version: int) -> None:
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(statements)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()


def write_segment(path: Path) -> None:
    """The segment file that the row of version 1 refers to."""
    directory = path.with_name("outbox.sqlite.pictures")
    directory.mkdir()
    (directory / "segment-000003").write_bytes(bytes(4096) + b"PNG" + bytes(4096))


def version_of(path: Path) -> int:
    db = sqlite3.connect(path)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(version)


@pytest.mark.parametrize(("version", "statements"), [(0, VERSION_0), (1, VERSION_1)])
def test_database_of_an_earlier_version_is_upgraded_and_delivered(
    path: Path, version: int, statements: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_database(path, statements, version)
    if version == 1:
        write_segment(path)
    with caplog.at_level("INFO"):
        for _ in range(2):  # the second time there is nothing to upgrade
            outbox = Outbox(path)
            assert outbox.state() == {"alarm/cam": b"abc"}
            assert (outbox.waiting("mqtt"), outbox.alarms_waiting("mqtt")) == (outbox.waiting(), 2) == (3, 2)
            assert (outbox.counts().dropped_pictures, outbox.counts().sequence) == (3, 7)
            assert [(row.id, row.payload, row.output) for row in outbox.next_images(5)] == [(41, b"PNG", "mqtt")]
            rows = outbox.next_alarms(5)
            assert [(row.id, row.part, row.captured_monotonic) for row in rows] == [(40, "raised", None)]
            outbox.close()
    assert caplog.text.count("upgraded from version 0 to 1") == (version == 0)
    assert caplog.text.count("column output added") == 1
    assert version_of(path) == 1, "a release without outputs still reads it"
    assert not list(path.parent.glob("*.corrupt-*"))
    outbox = Outbox(path)
    assert outbox.keep_outputs(["mqtt"]) == 0, "all that waited belongs to MQTT"
    assert accept(outbox, "a8", event=AlarmEvent.RAISED, images={"heatmap": b"new"}) == 8
    assert [row.payload for row in outbox.next_images(5)] == [b"new", b"PNG"]
    outbox.acknowledge([40, 41, 42])
    assert [row.alarm for row in outbox.next_alarms(5)] == ["a8"]
    outbox.close()


def test_losses_that_version_1_recorded_are_kept(path: Path) -> None:
    write_database(path, VERSION_1, 1)
    write_segment(path)
    outbox = Outbox(path)
    assert outbox.counts().missing == (2,)
    outbox.reject(outbox.next_alarms(1)[0], "topic name invalid")
    outbox.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT sequence FROM dead_letter ORDER BY id").fetchall() == [(2,), (6,)]
    db.close()


def test_database_of_a_later_version_is_not_touched(path: Path) -> None:
    Outbox(path).close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Permanent, match="version 99"):
        Outbox(path)
    assert version_of(path) == 99
    assert not list(path.parent.glob("*.corrupt-*"))
