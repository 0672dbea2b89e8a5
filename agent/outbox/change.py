"""What one transaction does to the rows that wait and to their pictures: all of it comes true with the commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
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

_INSERT = f"INSERT INTO message ({COLUMNS}) VALUES (NULL{', ?' * 14})"
_DELETE = f"DELETE FROM message WHERE id = ? RETURNING {COLUMNS_BUT_PAYLOAD}"
_SWAP = (
    "UPDATE message SET part = ?, topic = ?, media_type = ?, cost = ?, payload = ?, "
    "segment = NULL, start = NULL, length = NULL, checksum = NULL WHERE id = ?"
)


class Change:
    """Writes to the tables, puts pictures into segments, and notes what it did for those who keep count."""

    def __init__(self, db: sqlite3.Connection, segments: Segments, waiting_bytes: int) -> None:
        """`waiting_bytes`: what all rows count against the quota before this change."""
        self.db = db
        self._segments = segments
        self.bytes = waiting_bytes
        """What all rows count against the quota after it."""
        self.added: dict[int, Row] = {}
        """By id; with their payloads."""
        self.removed: dict[int, Row] = {}
        """By id; rows that were there before, without their payloads."""
        self.swapped: dict[int, Row] = {}
        """By id; notes that took the place of a picture."""
        self._freed: list[Place] = []

    def insert(self, sequence: int, camera: str, message: Message, captured: float | None) -> None:
        """Adds a row; a picture goes to the segments."""
        m, cost = message, cost_of(message)
        about = (sequence, camera, m.alarm, m.part, m.picture, m.topic, m.media_type, cost, captured)
        place = self._segments.put(m.payload) if m.picture else None
        if place is None:
            where: tuple[object, ...] = (m.payload, None, None, None, None)
        else:
            where = (b"", place.segment, place.offset, place.length, place.checksum)
        identity = self.db.execute(_INSERT, (*about, *where)).lastrowid
        assert identity is not None
        self.added[identity] = Row(identity, *about, m.payload, place)
        self.bytes += cost

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
