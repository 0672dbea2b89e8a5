"""Everything that one transaction changes in rows and images; it takes effect with the commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone

from agent.outputs.outbox.image_files import ImageFiles
from agent.outputs.outbox.rows import (
    COLUMNS,
    COLUMNS_BUT_PAYLOAD,
    KEPT_DEAD_LETTERS,
    UNNUMBERED,
    Message,
    Row,
    cost_of,
    count_up,
    row_of,
    trim_missing,
)
from agent.outputs.outbox.segments import Location

# Rows that one statement inserts or deletes at most. Each statement releases the interpreter lock and has to wait for
# it again while the publisher's thread holds it: inserting 64 rows one by one waited 64 times.
ROWS_TOGETHER = 32

_VALUES = f"(?{', ?' * 15})"
_INSERT = f"INSERT INTO message ({COLUMNS}) VALUES "
# Unused places are filled with 0, which is no row's id.
_DELETE = f"DELETE FROM message WHERE id IN (?{', ?' * (ROWS_TOGETHER - 1)})"
_DELETE_RETURNING = f"{_DELETE} RETURNING {COLUMNS_BUT_PAYLOAD}"
_REPLACE = (
    "UPDATE message SET part = ?, topic = ?, media_type = ?, cost = ?, payload = ?, "
    "segment = NULL, start = NULL, length = NULL, checksum = NULL WHERE id = ?"
)


class Transaction:
    """Changes the tables, puts images into segments, and records both for the queue in memory."""

    def __init__(self, db: sqlite3.Connection, images: ImageFiles, waiting_bytes: int, last_id: int) -> None:
        """`waiting_bytes`: what all rows count against the quota before it; `last_id`: the highest row id so far."""
        self.db = db
        self._images = images
        self._last_id = last_id
        self._uninserted: list[tuple[object, ...]] = []
        self.bytes = waiting_bytes
        """What all rows count against the quota after it, bytes."""
        self.added: dict[int, Row] = {}
        """By id; with their payloads."""
        self.removed: dict[int, Row] = {}
        """By id; rows from before this transaction, without their payloads."""
        self.replaced: dict[int, Row] = {}
        """By id; notes that replaced an image."""
        self._freed: list[Location] = []

    def insert(self, sequence: int, camera: str, message: Message, captured: float | None) -> None:
        """Add a row; it is in the table after `flush`. An image is put into a segment."""
        m, cost = message, cost_of(message)
        about = (sequence, camera, m.alarm, m.part, m.is_image, m.topic, m.media_type, cost, captured)
        location = self._images.put(m.payload) if m.is_image else None
        if location is None:
            stored: tuple[object, ...] = (m.payload, None, None, None, None)
        else:
            stored = (b"", location.segment, location.offset, location.length, location.checksum)
        self._last_id += 1
        self._uninserted.append((self._last_id, *about, *stored, m.output))
        self.added[self._last_id] = Row(self._last_id, *about, m.payload, location, m.output)
        self.bytes += cost

    def flush(self) -> None:
        """Insert the added rows: needed before a query that may find them, and before the commit."""
        for begin in range(0, len(self._uninserted), ROWS_TOGETHER):
            rows = self._uninserted[begin : begin + ROWS_TOGETHER]
            statement = _INSERT + ", ".join([_VALUES] * len(rows))
            self.db.execute(statement, [value for row in rows for value in row])
        self._uninserted.clear()

    def delete(self, rows: Iterable[int], *, missing: bool = False) -> int:
        """Delete rows by id and return how many existed. `missing` records the sequence numbers of alarms."""
        self.flush()
        deleted = 0
        for ids in _batches(list(rows)):
            found = self.db.execute(_DELETE_RETURNING, ids).fetchall()
            deleted += len(found)
            for row in map(row_of, found):
                self._deleted(row)
                if missing and not row.is_image and row.sequence != UNNUMBERED:
                    self.db.execute("INSERT OR IGNORE INTO missing VALUES (?)", (row.sequence,))
        return deleted

    def delete_known(self, rows: Mapping[int, Row]) -> None:
        """Delete rows, by id, that are certainly in the table.

        Each row that a statement returns releases the interpreter lock too: 64 of them cost an alarm's commit 1 to 3
        ms.
        """
        for ids in _batches(list(rows)):
            self.db.execute(_DELETE, ids)
        for row in rows.values():
            self._deleted(row)

    def _deleted(self, row: Row) -> None:
        self.bytes -= row.cost
        if self.added.pop(row.id, None) is None:
            self.removed[row.id] = row
            self._free(row.location)

    def delete_other_outputs(self, outputs: Collection[str]) -> int:
        """Delete the rows of all outputs but these, and return how many there were."""
        marks = ", ".join("?" * len(outputs))
        found = self.db.execute(f"SELECT id FROM message WHERE output NOT IN ({marks})", tuple(outputs)).fetchall()
        return self.delete([identity for (identity,) in found])

    def reject(self, row: Row, reason: str) -> None:
        """Move a row to the dead letters and count it; the payload of an image is not kept."""
        if self.delete([row.id], missing=True) == 0:
            return
        trim_missing(self.db)
        at = datetime.now(timezone.utc).isoformat()
        payload = None if row.is_image else row.payload
        self.db.execute(
            "INSERT INTO dead_letter (at, sequence, topic, reason, payload) VALUES (?, ?, ?, ?, ?)",
            (at, row.sequence, row.topic, reason, payload),
        )
        kept = "DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?"
        self.db.execute(kept, (KEPT_DEAD_LETTERS,))
        count_up(self.db, "dead_letters", 1)

    def replace(self, row: Row, message: Message) -> None:
        """Replace an image by a note, and count the image as omitted."""
        m, cost = message, cost_of(message)
        if self.db.execute(_REPLACE, (m.part, m.topic, m.media_type, cost, m.payload, row.id)).rowcount == 0:
            return
        count_up(self.db, "omitted_pictures", 1)
        self.bytes += cost - row.cost
        self._free(row.location)
        self.replaced[row.id] = replace(
            row,
            alarm=m.alarm,
            part=m.part,
            topic=m.topic,
            media_type=m.media_type,
            cost=cost,
            captured_monotonic=None,
            payload=m.payload,
            location=None,
        )

    def committed(self, *, durable: bool) -> None:
        """Report to the image files what was committed."""
        added = [row.location for row in self.added.values() if row.location is not None]
        self._images.committed(added, self._freed, durable=durable)

    def _free(self, location: Location | None) -> None:
        if location is not None:
            self._freed.append(location)


def _batches(ids: list[int]) -> Iterator[list[int]]:
    """The ids in groups that fit one statement, filled up with 0, which is no row's id."""
    for begin in range(0, len(ids), ROWS_TOGETHER):
        batch = ids[begin : begin + ROWS_TOGETHER]
        yield batch + [0] * (ROWS_TOGETHER - len(batch))
