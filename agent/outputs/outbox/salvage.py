"""Reads from a damaged database whatever can still be read: waiting messages, counters and the agent's state.

A damaged page hides some rows of a table, or the way to them; the others are found from both ends, by the ids that the
indexes name, or one by one.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from agent.outputs.outbox.database import PAGE_BYTES
from agent.outputs.outbox.rows import COLUMNS, SCHEMA

# What SQLite raises for a damaged page, and Python for damaged values.
_DAMAGE = (sqlite3.Error, UnicodeDecodeError, OverflowError)

# Rows that are looked up one by one where both ends of the table are cut off: half a second.
_MAX_LOOKUPS = 100_000

_MAGIC = b"SQLite format 3\0"
_SIZE_IN_HEADER = slice(28, 32)


@dataclass(slots=True)
class Salvaged:
    """What could be read; `store` puts it into a new database."""

    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    """Messages by id, as `COLUMNS`."""
    complete: bool = False
    """The table of messages was readable from end to end."""
    state: dict[str, bytes] = field(default_factory=dict)
    """State of the agent."""
    counters: dict[str, int] = field(default_factory=dict)
    missing: list[tuple[Any, ...]] = field(default_factory=list)
    dead_letters: list[tuple[Any, ...]] = field(default_factory=list)
    last_id: int = 0
    """The highest row id that was ever used."""

    def store(self, db: sqlite3.Connection) -> None:
        """Insert everything but the sequence number."""
        marks = ", ".join("?" * len(COLUMNS.split(",")))
        db.executemany(f"INSERT OR IGNORE INTO message ({COLUMNS}) VALUES ({marks})", self.rows.values())
        counters = [(name, value) for name, value in self.counters.items() if name != "sequence"]
        db.executemany("INSERT OR IGNORE INTO counter VALUES (?, ?)", counters)
        db.executemany("INSERT OR IGNORE INTO missing VALUES (?)", self.missing)
        db.executemany("INSERT OR IGNORE INTO dead_letter VALUES (?, ?, ?, ?, ?, ?)", self.dead_letters)
        db.executemany("INSERT OR IGNORE INTO agent_state VALUES (?, ?)", self.state.items())


def salvage(path: Path) -> Salvaged:
    """Everything readable in a damaged database; never raises for damage."""
    found = Salvaged()
    _restore_first_page(path)
    with suppress(*_DAMAGE), closing(sqlite3.connect(path, timeout=0.5)) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        found.state = {key: bytes(value) for key, value in _rows(db, "SELECT key, value FROM agent_state")}
        found.counters = dict(row for row in _rows(db, "SELECT name, value FROM counter") if isinstance(row[1], int))
        found.missing = _rows(db, "SELECT sequence FROM missing")
        found.dead_letters = _rows(db, "SELECT id, at, sequence, topic, reason, payload FROM dead_letter")
        ids = _rows(db, "SELECT seq FROM sqlite_sequence")
        found.complete = _read_messages(db, found.rows)
        found.last_id = max([*found.rows, *(seq for (seq,) in ids if isinstance(seq, int))], default=0)
    return found


def _rows(db: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    """The rows up to the first that cannot be read."""
    found: list[tuple[Any, ...]] = []
    with suppress(*_DAMAGE):
        found.extend(db.execute(query))
    return found


def _read_messages(db: sqlite3.Connection, found: dict[int, tuple[Any, ...]]) -> bool:
    """Read the table of messages into `found`. Returns whether it was readable from end to end."""
    select = f"SELECT {_columns_of(db)} FROM message"
    if _scan(db, f"{select} ORDER BY id", found):
        return True
    first = max(found, default=0) + 1
    tail: dict[int, tuple[Any, ...]] = {}
    _scan(db, f"{select} WHERE id >= {first} ORDER BY id DESC", tail)
    for identity in _candidates(db, first, min(tail, default=None)) - found.keys() - tail.keys():
        _scan(db, f"{select} WHERE id = {identity}", tail)
    found.update(tail)
    return False


def _columns_of(db: sqlite3.Connection) -> str:
    """The columns, with the defaults of those that a file of an earlier version lacks."""
    present = {name for _, name, *_ in _rows(db, "PRAGMA table_info(message)")}
    known = {"output": "'mqtt'"}
    return ", ".join(name if name in present else known.get(name, "NULL") for name in COLUMNS.split(", "))


def _scan(db: sqlite3.Connection, query: str, found: dict[int, tuple[Any, ...]]) -> bool:
    """Add the valid rows up to the first that cannot be read; returns whether there was none of those."""
    try:
        for row in db.execute(query):
            if _is_message(row):
                found[row[0]] = row
    except _DAMAGE:
        return False
    return True


def _candidates(db: sqlite3.Connection, first: int, end: int | None) -> set[int]:
    """Ids from `first` to `end` that may be readable: those in the indexes, and else every one."""
    named: set[int] = set()
    for index, image in (("alarm_order", 0), ("alarm_parts", 0), ("picture_order", 1)):
        ids = _rows(db, f"SELECT id FROM message INDEXED BY {index} WHERE picture = {image}")
        named.update(identity for (identity,) in ids if isinstance(identity, int))
    last = end if end is not None else max([first + _MAX_LOOKUPS // 10, *named])
    return named | set(range(first, min(last, first + _MAX_LOOKUPS)))


def _is_message(row: tuple[Any, ...]) -> bool:
    """Whether the values are those of a message: in a damaged page, anything may be found."""
    identity, sequence, camera, alarm, part, image, topic, media_type, cost, captured, payload, *stored, output = row
    texts, numbers = (camera, alarm, part, topic, media_type, output), (identity, sequence, image, cost)
    if not all(isinstance(each, str) for each in texts) or not all(isinstance(each, int) for each in numbers):
        return False
    if not isinstance(payload, bytes) or not isinstance(captured, (float, type(None))) or identity < 1:
        return False
    if image:
        return bool(payload) or all(isinstance(each, int) for each in stored)
    try:
        return isinstance(json.loads(payload), dict)
    except ValueError:
        return False


def _restore_first_page(path: Path) -> None:
    """Replace a first page that is no database's by that of a new one: without it, SQLite reads nothing.

    It names the tables and their first pages, which are the same in every file that this version has made. Where they
    are not, nothing valid is found, as before.
    """
    with suppress(OSError), path.open("r+b") as file:
        header = file.read(len(_MAGIC))
        if header != _MAGIC:
            file.seek(0)
            file.write(_first_page())


def _first_page() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "new"
        with closing(sqlite3.connect(file)) as db:
            db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(SCHEMA)
        page = bytearray(file.read_bytes()[:PAGE_BYTES])
    # The size in the header would be that of an empty database; without it, SQLite takes the size of the file.
    page[_SIZE_IN_HEADER] = bytes(4)
    return bytes(page)
