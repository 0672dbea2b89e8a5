"""The tables of the outbox, and the records that are read from and written to them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.outputs.outbox.segments import Location

# Cost of a row in addition to its payload: key, topic and index entries. Measured: 210 bytes with 40-byte topics.
ROW_BYTES = 256

# How many sequence numbers that will never arrive are kept for reporting, and how many finally rejected messages.
KEPT_MISSING = 100
KEPT_DEAD_LETTERS = 1000

# Sequence number of messages that are no alarms; those of alarms begin with 1.
UNNUMBERED = 0

# The part of a row that holds the result of a part, which is a document like that of an alarm.
RESULT = "result"

# The output of rows that were written before outputs had names.
DEFAULT_OUTPUT = "mqtt"

# An image (`picture` = 1) is in a segment file (`segment`, `start`, `length`, `checksum`); the payload of its row is
# empty. Alarms, notes and images of an older version have their payload in the row, and no segment.
_INDEXES = """
CREATE INDEX alarm_order ON message (camera, id) WHERE picture = 0;
CREATE INDEX alarm_parts ON message (alarm, part) WHERE picture = 0;
CREATE INDEX picture_order ON message (sequence, id) WHERE picture = 1;
"""
_OUTPUT = f"TEXT NOT NULL DEFAULT '{DEFAULT_OUTPUT}'"
SCHEMA = f"""
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, camera TEXT NOT NULL, alarm TEXT NOT NULL,
    part TEXT NOT NULL, picture INTEGER NOT NULL, topic TEXT NOT NULL, media_type TEXT NOT NULL,
    cost INTEGER NOT NULL, captured REAL, payload BLOB NOT NULL,
    segment INTEGER, start INTEGER, length INTEGER, checksum INTEGER, output {_OUTPUT});
{_INDEXES}
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE agent_state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE missing (sequence INTEGER PRIMARY KEY);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    payload BLOB);
"""

# From each version of the tables to the next. Version 0 had all images in rows.
UPGRADES = (
    f"""
ALTER TABLE message ADD COLUMN segment INTEGER;
ALTER TABLE message ADD COLUMN start INTEGER;
ALTER TABLE message ADD COLUMN length INTEGER;
ALTER TABLE message ADD COLUMN checksum INTEGER;
DROP INDEX message_order;
DROP INDEX message_age;
DROP INDEX message_alarm;
{_INDEXES}
""",
)

# Columns that came without a new version, as (table, column, declaration): a release that does not know them reads and
# writes the tables as before, so that going back to it stays possible while MQTT is the only output.
ADDITIONS = (("message", "output", _OUTPUT),)

COLUMNS = (
    "id, sequence, camera, alarm, part, picture, topic, media_type, cost, captured, payload, "
    "segment, start, length, checksum, output"
)
# The same with an empty payload, for rows whose payload is not needed yet.
COLUMNS_BUT_PAYLOAD = COLUMNS.replace("payload", "x''")


@dataclass(frozen=True, slots=True)
class Message:
    """A message to deliver: the document of an alarm, or one of its images."""

    topic: str
    payload: bytes
    alarm: str
    """Id of the alarm it belongs to, or of the result."""
    part: str
    """`raised` or `cleared` for the document; `heatmap`, `overlay` or `frame` for an image; RESULT for the result of a
    part."""
    is_image: bool = False
    media_type: str = "application/json"
    output: str = DEFAULT_OUTPUT
    """Name of the output that delivers it."""


Following = Callable[[sqlite3.Connection], Sequence[tuple[str, Message]]]
"""Changes other tables of the file, and returns messages that follow from it, each with the camera, or the group of
cameras, behind whose messages it waits. They use no sequence number of this outbox. May be called again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An alarm to accept."""

    camera: str
    build: Callable[[int], Sequence[Message]]
    """Builds the messages for a sequence number; may be called again with another number."""
    state: Mapping[str, bytes] = field(default_factory=dict)
    """State of the agent that becomes durable together with the alarm."""
    captured_monotonic: float | None = None
    """Monotonic time of capture, seconds."""
    also: Callable[[sqlite3.Connection], None] | None = None
    """Changes other tables of the file in the same transaction."""
    follows: Following | None = None
    """What follows from the entry, in the same transaction."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message waiting in the outbox."""

    id: int
    sequence: int
    camera: str
    alarm: str
    part: str
    is_image: bool
    topic: str
    media_type: str
    cost: int
    """Bytes that count against the quota."""
    captured_monotonic: float | None
    """Monotonic time of capture, seconds; None for rows of an earlier run, which had another clock."""
    payload: bytes
    location: Location | None = None
    """Where the image is stored; None if the payload is in the row."""
    output: str = DEFAULT_OUTPUT
    """Name of the output that delivers it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Contents of the outbox, and what it has lost so far."""

    waiting: int
    """Rows."""
    waiting_bytes: int
    """Bytes that they count against the quota."""
    sequence: int
    """The latest sequence number; 0 before the first."""
    dropped_pictures: int
    """Images; named as in the `status` document, like `omitted_pictures`."""
    dropped_alarms: int
    dead_letters: int
    omitted_pictures: int
    missing: tuple[int, ...]
    """The latest sequence numbers that will never arrive."""
    epoch: str | None = None
    """Id of this run, which makes its sequence numbers unique."""
    results: None = None
    """Results are counted by an outbox of their own."""


def row_of(columns: Sequence[Any]) -> Row:
    """The row that was selected as `COLUMNS`."""
    key, sequence, camera, alarm, part, image, topic, media_type, cost, captured, payload, *stored, output = columns
    about = (key, sequence, camera, alarm, part, bool(image), topic, media_type, cost, captured)
    return Row(*about, bytes(payload), None if stored[0] is None else Location(*stored), output)


def columns_of(row: Row) -> tuple[Any, ...]:
    """The row as `COLUMNS`; an image that is in a segment without its bytes."""
    at = row.location
    stored = (None,) * 4 if at is None else (at.segment, at.offset, at.length, at.checksum)
    about = (row.id, row.sequence, row.camera, row.alarm, row.part, int(row.is_image), row.topic, row.media_type)
    return (*about, row.cost, row.captured_monotonic, row.payload if at is None else b"", *stored, row.output)


def cost_of(message: Message) -> int:
    """Bytes that a message counts against the quota."""
    return len(message.payload) + ROW_BYTES


def count_up(db: sqlite3.Connection, name: str, by: int) -> None:
    """Add `by` to a counter."""
    if by:
        db.execute(
            "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (name, by)
        )


def counters(db: sqlite3.Connection) -> tuple[Counter[str], tuple[int, ...]]:
    """All counters by name, and the sequence numbers that will never arrive."""
    values = Counter(dict(db.execute("SELECT name, value FROM counter").fetchall()))
    missing = tuple(sequence for (sequence,) in db.execute("SELECT sequence FROM missing ORDER BY sequence"))
    return values, missing


def segment_usage(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """By segment: how many rows refer to it, and where the last of their images ends, bytes."""
    query = "SELECT segment, count(*), max(start + length) FROM message WHERE segment IS NOT NULL GROUP BY segment"
    return {segment: (rows, end) for segment, rows, end in db.execute(query)}


def payload_of(db: sqlite3.Connection, identity: int) -> bytes | None:
    """The payload in a row; None if there is no such row."""
    found = db.execute("SELECT payload FROM message WHERE id = ?", (identity,)).fetchone()
    return None if found is None else bytes(found[0])


def trim_missing(db: sqlite3.Connection) -> None:
    """Keep only the latest of the sequence numbers that will never arrive."""
    db.execute(
        "DELETE FROM missing WHERE sequence NOT IN (SELECT sequence FROM missing ORDER BY sequence DESC LIMIT ?)",
        (KEPT_MISSING,),
    )


def store_state(db: sqlite3.Connection, state: Mapping[str, bytes]) -> None:
    """Store these keys of the agent's state; others stay unchanged."""
    for key, value in state.items():
        db.execute("INSERT OR REPLACE INTO agent_state VALUES (?, ?)", (key, value))
