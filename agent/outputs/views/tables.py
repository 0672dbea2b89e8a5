"""What waits for a view, and what was joined: tables in the file of the results."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from agent.messages import ViewPayload

# Joined parts by which a late view is recognised: 4 MB.
_REMEMBERED = 20_000

_TABLES = (
    """CREATE TABLE joining (
    place TEXT NOT NULL, part TEXT NOT NULL, camera TEXT NOT NULL, view TEXT NOT NULL, epoch TEXT NOT NULL,
    started REAL NOT NULL, PRIMARY KEY (place, part, camera)) WITHOUT ROWID""",
    """CREATE TABLE joined (
    number INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, part TEXT NOT NULL, views TEXT NOT NULL,
    UNIQUE (place, part))""",
    "CREATE TABLE joined_sequence (place TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
)

Key = tuple[str, str]
"""Place of the group, and id of the part."""


@dataclass(frozen=True, slots=True)
class KeptView:
    """A view of a part that waits for others."""

    view: ViewPayload
    epoch: str
    """Id of the run that stored it."""
    started_monotonic: float
    """Monotonic time of its trigger or its first frame in that run, seconds."""


def create_tables(db: sqlite3.Connection) -> None:
    """Create the tables where they are missing: in a new file, which may replace a damaged one."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'joining'").fetchone() is None:
        for statement in _TABLES:
            db.execute(statement)


def waiting_keys(db: sqlite3.Connection) -> list[Key]:
    """The parts that wait for a view."""
    with suppress(sqlite3.OperationalError):  # no tables before the first view
        return list(db.execute("SELECT DISTINCT place, part FROM joining").fetchall())
    return []


def views_of(db: sqlite3.Connection, key: Key) -> dict[str, KeptView]:
    """The views of a part that waits, by camera."""
    query = "SELECT camera, view, epoch, started FROM joining WHERE place = ? AND part = ?"
    return {
        camera: KeptView(ViewPayload.model_validate_json(view), epoch, started)
        for camera, view, epoch, started in db.execute(query, key).fetchall()
    }


def keep_view(db: sqlite3.Connection, key: Key, kept: KeptView) -> None:
    """Keep a view until the part has its result; a newer one of the same camera replaces it."""
    row = (*key, kept.view.camera, kept.view.model_dump_json(), kept.epoch, kept.started_monotonic)
    db.execute("INSERT OR REPLACE INTO joining VALUES (?, ?, ?, ?, ?, ?)", row)


def forget_views(db: sqlite3.Connection, key: Key) -> None:
    """The part waits no longer."""
    db.execute("DELETE FROM joining WHERE place = ? AND part = ?", key)


def joined_views(db: sqlite3.Connection, key: Key) -> dict[str, str] | None:
    """The ids of the results that a joined part had, by camera; None where it is not known."""
    found = db.execute("SELECT views FROM joined WHERE place = ? AND part = ?", key).fetchone()
    return None if found is None else dict(json.loads(found[0]))


def remember_views(db: sqlite3.Connection, key: Key, views: Mapping[str, str]) -> None:
    """Remember the ids of the results of a joined part, by camera."""
    db.execute("INSERT OR REPLACE INTO joined (place, part, views) VALUES (?, ?, ?)", (*key, json.dumps(views)))
    db.execute("DELETE FROM joined WHERE number <= (SELECT max(number) FROM joined) - ?", (_REMEMBERED,))


def next_sequence(db: sqlite3.Connection, place: str, known: int) -> int:
    """The number of the next joined result; `known`: the latest one of this run, for a file that was replaced."""
    stored = db.execute("SELECT value FROM joined_sequence WHERE place = ?", (place,)).fetchone()
    number = max(0 if stored is None else int(stored[0]), known) + 1
    db.execute("INSERT OR REPLACE INTO joined_sequence VALUES (?, ?)", (place, number))
    return number
