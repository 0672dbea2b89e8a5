"""What one transaction does to the rows that wait and to their pictures: all of it comes true with the commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone

from agent.outputs.outbox.image_files import ImageFiles, Place
from agent.outputs.outbox.rows import (
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

# Rows that one statement inserts or deletes at most. Each statement gives up the interpreter and wants it back, which
# the thread that feeds the broker does not give at once: 64 rows one by one waited for it 64 times.
ROWS_TOGETHER = 32

_VALUES = f"(?{', ?' * 15})"
_INSERT = f"INSERT INTO message ({COLUMNS}) VALUES "
# No row has the id 0, which fills the places that are left over.
_DELETE = f"DELETE FROM message WHERE id IN (?{', ?' * (ROWS_TOGETHER - 1)})"
_DELETE_AND_TELL = f"{_DELETE} RETURNING {COLUMNS_BUT_PAYLOAD}"
_SWAP = (
    "UPDATE message SET part = ?, topic = ?, media_type = ?, cost = ?, payload = ?, "
    "segment = NULL, start = NULL, length = NULL, checksum = NULL WHERE id = ?"
)


class Transaction:
    """Writes to the tables, puts pictures into segments, and notes what it did for those who keep count."""

    def __init__(self, db: sqlite3.Connection, segments: ImageFiles, waiting_bytes: int, last_id: int) -> None:
        """`waiting_bytes`: what all rows count against the quota before this change; `last_id`: the highest so far."""
        self.db = db
        self._segments = segments
        self._last_id = last_id
        self._uninserted: list[tuple[object, ...]] = []
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
        """Adds a row, which is in the table after `flush`; a picture goes to the segments."""
        m, cost = message, cost_of(message)
        about = (sequence, camera, m.alarm, m.part, m.picture, m.topic, m.media_type, cost, captured)
        place = self._segments.put(m.payload) if m.picture else None
        if place is None:
            where: tuple[object, ...] = (m.payload, None, None, None, None)
        else:
            where = (b"", place.segment, place.offset, place.length, place.checksum)
        self._last_id += 1
        self._uninserted.append((self._last_id, *about, *where, m.output))
        self.added[self._last_id] = Row(self._last_id, *about, m.payload, place, m.output)
        self.bytes += cost

    def flush(self) -> None:
        """Inserts what waits for it: before anything looks for it in the table, and before the commit."""
        for begin in range(0, len(self._uninserted), ROWS_TOGETHER):
            rows = self._uninserted[begin : begin + ROWS_TOGETHER]
            statement = _INSERT + ", ".join([_VALUES] * len(rows))
            self.db.execute(statement, [value for row in rows for value in row])
        self._uninserted.clear()

    def delete(self, rows: Iterable[int], *, missing: bool = False) -> int:
        """Deletes rows, returns how many there were; `missing` notes the sequence numbers of alarms among them."""
        self.flush()
        deleted = 0
        for some in _batches(list(rows)):
            found = self.db.execute(_DELETE_AND_TELL, some).fetchall()
            deleted += len(found)
            for row in map(row_of, found):
                self._deleted(row)
                if missing and not row.picture:
                    self.db.execute("INSERT OR IGNORE INTO missing VALUES (?)", (row.sequence,))
        return deleted

    def delete_known(self, rows: Mapping[int, Row]) -> None:
        """Deletes rows that are in the table for certain, by id.

        Each row that a statement tells gives up the interpreter, too: 64 of them cost an alarm's commit 1 to 3 ms.
        """
        for some in _batches(list(rows)):
            self.db.execute(_DELETE, some)
        for row in rows.values():
            self._deleted(row)

    def _deleted(self, row: Row) -> None:
        self.bytes -= row.cost
        if self.added.pop(row.id, None) is None:
            self.removed[row.id] = row
            self._free(row.place)

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
            row.id,
            row.sequence,
            row.camera,
            m.alarm,
            m.part,
            True,
            m.topic,
            m.media_type,
            cost,
            None,
            m.payload,
            output=row.output,
        )

    def committed(self, *, durable: bool) -> None:
        """Tells the segments what has come true."""
        added = [row.place for row in self.added.values() if row.place is not None]
        self._segments.committed(added, self._freed, durable=durable)

    def _free(self, place: Place | None) -> None:
        if place is not None:
            self._freed.append(place)


def _batches(ids: list[int]) -> Iterator[list[int]]:
    """The ids in as many as a statement takes, the last filled up with the id that no row has."""
    for begin in range(0, len(ids), ROWS_TOGETHER):
        some = ids[begin : begin + ROWS_TOGETHER]
        yield some + [0] * (ROWS_TOGETHER - len(some))
