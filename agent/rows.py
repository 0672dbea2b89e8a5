"""The tables of the outbox and what stands in them."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# What a row costs beside its payload: its key, topic and index entries. Measured 210 bytes with 40-byte topics.
ROW_BYTES = 256

# Sequence numbers that will never arrive, kept to be told; and messages that the broker refused for good.
KEPT_MISSING = 100
KEPT_DEAD_LETTERS = 1000

SCHEMA = """
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
"""

# What may be dropped, in groups that go together, oldest first.
OLDEST_PICTURES = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT 64"
OLDEST_WHOLE_ALARMS = (
    "SELECT r.id, c.id FROM message c JOIN message r ON r.alarm = c.alarm AND r.part = 'raised' AND r.picture = 0 "
    "WHERE c.picture = 0 AND c.part = 'cleared' ORDER BY c.id LIMIT 64"
)
OLDEST_LONE_ENDS = "SELECT id FROM message WHERE picture = 0 AND part = 'cleared' ORDER BY id LIMIT 64"

COLUMNS_BUT_PAYLOAD = "id, sequence, camera, alarm, part, picture, topic, media_type, cost, captured"
COLUMNS = f"{COLUMNS_BUT_PAYLOAD}, payload"


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
