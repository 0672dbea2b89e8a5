"""The latest parts of every camera: what became of each, to be looked up by its id."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent.core.records import Part
from agent.outputs.outbox import Outbox

# All cameras together: 5 MB.
MOST_PARTS = 20_000

_TABLE = """CREATE TABLE IF NOT EXISTS part_log (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, camera TEXT NOT NULL, part TEXT NOT NULL,
    product TEXT, verdict TEXT NOT NULL, reason TEXT, score REAL, threshold REAL, captured_at TEXT NOT NULL, alarm TEXT,
    code TEXT, origin TEXT)"""

_COLUMNS = "id, camera, part, product, verdict, reason, score, threshold, captured_at, alarm, code, origin"

_INSERT = f"INSERT OR REPLACE INTO part_log ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# `instr` instead of LIKE: % and _ are letters of ids.
_FIND = (
    f"SELECT number, {_COLUMNS} FROM part_log WHERE (:camera IS NULL OR camera = :camera) "
    "AND (:id IS NULL OR id = :id) AND (:verdict IS NULL OR verdict = :verdict) "
    "AND (:product IS NULL OR product = :product) "
    "AND (:part IS NULL OR instr(lower(part), lower(:part)) OR instr(lower(code), lower(:part))) "
    "AND (:since IS NULL OR captured_at >= :since) AND (:until IS NULL OR captured_at < :until) "
    "AND (:score_from IS NULL OR score >= :score_from) AND (:score_to IS NULL OR score <= :score_to) "
    "AND (:before IS NULL OR number < :before) ORDER BY number DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class PartFilter:
    """Which parts are listed; None does not limit."""

    camera: str | None = None
    """A camera, or `parts/NAME` for cameras that see the same part."""
    verdict: str | None = None
    product: str | None = None
    part: str | None = None
    """In the id of the part, or in its code; without regard to case."""
    since: datetime | None = None
    until: datetime | None = None
    score_from: float | None = None
    score_to: float | None = None
    before: int | None = None
    """Number of a part: only those before it."""
    id: str | None = None
    """Of a result."""


class PartLog:
    """Notes each part in the transaction that stores its result; the oldest ones go. Any thread may read."""

    def __init__(self, outbox: Outbox, most: int = MOST_PARTS) -> None:
        """`outbox`: that of the results; the parts are in a table of its file."""
        self._outbox = outbox
        self._most = most

    def noting(self, part: Part, identity: str) -> Callable[[sqlite3.Connection], None]:
        """What notes this part: to be run in the transaction that stores its result, whose id is `identity`.

        A part that is judged again under the same id replaces the earlier one.
        """
        values = (
            identity,
            part.camera,
            part.part,
            part.product,
            part.verdict.value,
            None if part.reason is None else part.reason.value,
            part.score,
            part.threshold,
            _time(part.captured_at),
            part.alarm,
            None if part.code is None else part.code.text,
            part.origin,
        )

        def note(db: sqlite3.Connection) -> None:
            db.execute(_TABLE)
            number = db.execute(_INSERT, values).lastrowid
            db.execute("DELETE FROM part_log WHERE number <= ?", ((number or 0) - self._most,))

        return note

    def find(self, where: PartFilter, limit: int) -> list[dict[str, Any]]:
        """The latest parts that fit, newest first. Raises Temporary where the disk cannot be read."""
        values = {
            "camera": where.camera,
            "verdict": where.verdict,
            "product": where.product,
            "part": where.part,
            "since": None if where.since is None else _time(where.since),
            "until": None if where.until is None else _time(where.until),
            "score_from": where.score_from,
            "score_to": where.score_to,
            "before": where.before,
            "id": where.id,
            "limit": limit,
        }
        names = ("number", *_COLUMNS.split(", "))

        def read(db: sqlite3.Connection) -> list[dict[str, Any]]:
            with suppress(sqlite3.OperationalError):  # no table before the first part
                return [dict(zip(names, row, strict=True)) for row in db.execute(_FIND, values).fetchall()]
            return []

        return self._outbox.read(read)


def _time(at: datetime) -> str:
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
