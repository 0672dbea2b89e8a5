"""What one transaction does to the rows that wait and to their pictures: all of it comes true with the commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone

from agent.outbox.rows import (
    COLUMNS,
    COLUMNS_BUT_PAYLOAD,
    KEPT_DEAD_LETTERS,
    Message,
    Row,
    cost_of,
    count_up,
    row_of,
    trim_missing,
)
from agent.outbox.segments import Place, Segments

_INSERT = f"INSERT INTO message ({COLUMNS}) VALUES "
_VALUES = f"(?{', ?' * 14})"

# In one statement: SQLite takes 999 values in its older versions.
MOST_ROWS = 64

_DELETE = f"DELETE FROM message WHERE id = ? RETURNING {COLUMNS_BUT_PAYLOAD}"
_SWAP = (
    "UPDATE message SET part = ?, topic = ?, media_type = ?, cost = ?, payload = ?, "
    "segment = NULL, start = NULL, length = NULL, checksum = NULL WHERE id = ?"
)


class Change:
    """Writes to the tables, puts pictures into segments, and notes what it did for those who keep count."""

    def __init__(self, db: sqlite3.Connection, segments: Segments, waiting_bytes: int, last_id: int) -> None:
        """`waiting_bytes`: what all rows count against the quota before this change; `last_id`: the highest id ever."""
        self.db = db
        self._segments = segments
        self._last_id = last_id
        self.bytes = waiting_bytes
        """What all rows count against the quota after it."""
        self.added: dict[int, Row] = {}
        """By id; with their payloads."""
        self.removed: dict[int, Row] = {}
        """By id; rows that were there before, without their payloads."""
        self.swapped: dict[int, Row] = {}
        """By id; notes that took the place of a picture."""
        self._freed: list[Place] = []

    def insert(self, sequence: int, camera: str, messages: Sequence[Message], captured: float | None) -> None:
        """Adds the rows of an alarm; its pictures go to the segments.

        One statement: with each, SQLite lets the interpreter go, and the thread that feeds the broker takes it.
        """
        values: list[object] = []
        for m in messages:
            self._last_id += 1
            cost = cost_of(m)
            about = (self._last_id, sequence, camera, m.alarm, m.part, m.picture, m.topic, m.media_type, cost, captured)
            place = self._segments.put(m.payload) if m.picture else None
            if place is None:
                values += (*about, m.payload, None, None, None, None)
            else:
                values += (*about, b"", place.segment, place.offset, place.length, place.checksum)
            self.added[self._last_id] = Row(*about, m.payload, place)
            self.bytes += cost
        for first in range(0, len(values), MOST_ROWS * 15):
            some = values[first : first + MOST_ROWS * 15]
            self.db.execute(_INSERT + ", ".join([_VALUES] * (len(some) // 15)), some)

    def delete(self, rows: Iterable[int], *, missing: bool = False) -> int:
        """Deletes rows, returns how many there were; `missing` notes the sequence numbers of alarms among them."""
        deleted = 0
        for identity in rows:
            found = self.db.execute(_DELETE, (identity,)).fetchone()
            if found is not None:
                row = row_of(found)
                deleted += 1
                self.bytes -= row.cost
                if self.added.pop(identity, None) is None:
                    self.removed[identity] = row
                    self._free(row.place)
                if missing and not row.picture:
                    self.db.execute("INSERT OR IGNORE INTO missing VALUES (?)", (row.sequence,))
        return deleted

    def bury(self, row: Row, reason: str) -> None:
        """Moves a row to the dead letters, and counts it; of a picture the payload is not kept."""
        if self.delete([row.id], missing=True) == 0:
            return
        trim_missing(self.db)
        at = datetime.now(timezone.utc).isoformat()
        payload = None if row.picture else row.payload
        self.db.execute(
            "INSERT INTO dead_letter (at, sequence, topic, reason, payload) VALUES (?, ?, ?, ?, ?)",
            (at, row.sequence, row.topic, reason, payload),
        )
        kept = "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?"
        self.db.execute(kept, (KEPT_DEAD_LETTERS,))
        count_up(self.db, "dead_letters", 1)

    def swap(self, row: Row, message: Message) -> None:
        """Puts a note in the place of a picture, and counts the picture as left out."""
        m, cost = message, cost_of(message)
        if self.db.execute(_SWAP, (m.part, m.topic, m.media_type, cost, m.payload, row.id)).rowcount == 0:
            return
        count_up(self.db, "omitted_pictures", 1)
        self.bytes += cost - row.cost
        self._free(row.place)
        self.swapped[row.id] = Row(
            row.id, row.sequence, row.camera, m.alarm, m.part, True, m.topic, m.media_type, cost, None, m.payload
        )

    def committed(self, *, durable: bool) -> None:
        """Tells the segments what has come true."""
        added = [row.place for row in self.added.values() if row.place is not None]
        self._segments.committed(added, self._freed, durable=durable)

    def _free(self, place: Place | None) -> None:
        if place is not None:
            self._freed.append(place)
