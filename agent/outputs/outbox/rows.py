"""The tables of the outbox and what stands in them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.outputs.outbox.image_files import Place

# What a row costs beside its payload: its key, topic and index entries. Measured 210 bytes with 40-byte topics.
ROW_BYTES = 256

# Sequence numbers that will never arrive, kept to be told; and messages that the broker refused for good.
KEPT_MISSING = 100
KEPT_DEAD_LETTERS = 1000

# The output of rows from before outputs had names.
DEFAULT_OUTPUT = "mqtt"

# A picture lies in a segment (`segment`, `start`, `length`, `checksum`), and its payload here is empty. Alarms, notes
# and the pictures that an older version left have theirs in the row, and no segment.
_INDEXES = """
CREATE INDEX alarm_order ON message (camera, id) WHERE picture = 0;
CREATE INDEX alarm_parts ON message (alarm, part) WHERE picture = 0;
CREATE INDEX picture_order ON message (sequence, id) WHERE picture = 1;
"""
SCHEMA = f"""
CREATE TABLE message (
    id INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, camera TEXT NOT NULL, alarm TEXT NOT NULL,
    part TEXT NOT NULL, picture INTEGER NOT NULL, topic TEXT NOT NULL, media_type TEXT NOT NULL,
    cost INTEGER NOT NULL, captured REAL, payload BLOB NOT NULL,
    segment INTEGER, start INTEGER, length INTEGER, checksum INTEGER,
    output TEXT NOT NULL DEFAULT '{DEFAULT_OUTPUT}');
{_INDEXES}
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE agent_state (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE missing (sequence INTEGER PRIMARY KEY);
CREATE TABLE dead_letter (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, sequence INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
    payload BLOB);
"""

# From one version of the tables to the next. 0 had all images in their rows, 1 had MQTT as its only output.
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
    f"ALTER TABLE message ADD COLUMN output TEXT NOT NULL DEFAULT '{DEFAULT_OUTPUT}';",
)

COLUMNS = (
    "id, sequence, camera, alarm, part, picture, topic, media_type, cost, captured, payload, "
    "segment, start, length, checksum, output"
)
# The same for rows whose payload is not wanted yet.
COLUMNS_BUT_PAYLOAD = COLUMNS.replace("payload", "x''")


@dataclass(frozen=True, slots=True)
class Message:
    """Something to publish: the document of an alarm, or one of its pictures."""

    topic: str
    payload: bytes
    alarm: str
    """Id of the alarm it belongs to."""
    part: str
    """`raised` or `cleared` for the document; `heatmap`, `overlay`, `frame` for a picture."""
    picture: bool = False
    media_type: str = "application/json"
    output: str = DEFAULT_OUTPUT
    """Name of the output that delivers it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An alarm to be accepted."""

    camera: str
    build: Callable[[int], Sequence[Message]]
    """Makes the messages from the sequence number; may be called again with another one."""
    state: Mapping[str, bytes] = field(default_factory=dict)
    """The agent's state that becomes durable with the alarm."""
    captured_monotonic: float | None = None
    """Monotonic time of capture, seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message that waits in the outbox."""

    id: int
    sequence: int
    camera: str
    alarm: str
    part: str
    picture: bool
    topic: str
    media_type: str
    cost: int
    """What it counts against the quota, bytes."""
    captured_monotonic: float | None
    """Monotonic time of capture, seconds; None for rows of an earlier run, whose clock is not ours."""
    payload: bytes
    place: Place | None = None
    """Where a picture lies whose payload is not in the row; None for all else."""
    output: str = DEFAULT_OUTPUT
    """Name of the output that delivers it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How the outbox stands."""

    waiting: int
    """Rows."""
    waiting_bytes: int
    """What they count against the quota."""
    sequence: int
    """The number assigned last; 0 before the first."""
    dropped_pictures: int
    dropped_alarms: int
    dead_letters: int
    omitted_pictures: int
    missing: tuple[int, ...]
    """The latest sequence numbers that will never arrive."""


def row_of(columns: Sequence[Any]) -> Row:
    """What `COLUMNS` selected."""
    identity, sequence, camera, alarm, part, picture, topic, media_type, cost, captured, payload, *where, output = (
        columns
    )
    about = (identity, sequence, camera, alarm, part, bool(picture), topic, media_type, cost, captured)
    return Row(*about, bytes(payload), None if where[0] is None else Place(*where), output)


def cost_of(message: Message) -> int:
    return len(message.payload) + ROW_BYTES


def count_up(db: sqlite3.Connection, name: str, by: int) -> None:
    if by:
        db.execute(
            "INSERT INTO counter VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = value + ?2", (name, by)
        )


def counters(db: sqlite3.Connection) -> tuple[Counter[str], tuple[int, ...]]:
    values = Counter(dict(db.execute("SELECT name, value FROM counter").fetchall()))
    missing = tuple(sequence for (sequence,) in db.execute("SELECT sequence FROM missing ORDER BY sequence"))
    return values, missing


def named_segments(db: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """By segment: how many rows name it, and where the last of their pictures ends, bytes."""
    query = "SELECT segment, count(*), max(start + length) FROM message WHERE segment IS NOT NULL GROUP BY segment"
    return {segment: (rows, end) for segment, rows, end in db.execute(query)}


def payload_of(db: sqlite3.Connection, identity: int) -> bytes | None:
    """The payload in a row; None where the row is gone."""
    found = db.execute("SELECT payload FROM message WHERE id = ?", (identity,)).fetchone()
    return None if found is None else bytes(found[0])


def trim_missing(db: sqlite3.Connection) -> None:
    db.execute(
        "DELETE FROM missing WHERE sequence NOT IN (SELECT sequence FROM missing ORDER BY sequence DESC LIMIT ?)",
        (KEPT_MISSING,),
    )


def store_state(db: sqlite3.Connection, state: Mapping[str, bytes]) -> None:
    for key, value in state.items():
        db.execute("INSERT OR REPLACE INTO agent_state VALUES (?, ?)", (key, value))


def salvage(aside: Path) -> tuple[int, dict[str, bytes]]:
    """The sequence number and the agent's state from a corrupt file, as far as they can still be read."""
    sequence, state = 0, {}
    with suppress(sqlite3.Error):
        db = sqlite3.connect(aside)
        try:
            with suppress(sqlite3.Error):
                state = dict(db.execute("SELECT key, value FROM agent_state").fetchall())
            (sequence,) = db.execute("SELECT value FROM counter WHERE name = 'sequence'").fetchone()
        finally:
            db.close()
    return sequence, state
