"""The waiting rows of one output: how many there are and, in memory, those to be sent next.

A commit keeps the disk busy for milliseconds, and an output that asks for the next message must not wait for it. So the
oldest alarms of each camera and the newest images are kept here; the rest of a long backlog is read when it is needed.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from agent.outputs.outbox.rows import COLUMNS, COLUMNS_BUT_PAYLOAD, Row, row_of

# Read from the disk at a time: alarms of one camera, and the images of this many alarms.
ALARMS_AT_A_TIME = 100
IMAGES_OF_ALARMS_AT_A_TIME = 64

_ALARMS = (
    f"SELECT {COLUMNS} FROM message WHERE picture = 0 AND camera = ? AND id > ? AND output = ? ORDER BY id LIMIT ?"
)
_IMAGES = (
    f"SELECT {COLUMNS_BUT_PAYLOAD} FROM message WHERE picture = 1 AND output = ?1 AND sequence IN "
    "(SELECT DISTINCT sequence FROM message WHERE picture = 1 AND output = ?1 AND sequence < ?2 "
    "ORDER BY sequence DESC LIMIT ?3) ORDER BY sequence, id"
)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """How much of one output's backlog is kept in memory."""

    alarms: int = 500
    """Of each camera; a kilobyte each. With the images, minutes of a bad shift."""
    images: int = 1500
    """Of all cameras, without their bytes; a kilobyte each."""
    image_bytes: int = 16 * 1024 * 1024
    """Bytes of the latest images: those of a live alarm are sent long before the memory is needed again, and need not
    be read from the disk. 60 alarms with three images."""


class OutputQueue:
    """Follows the rows of one output, commit by commit. Not thread-safe: `RowQueue` holds its lock."""

    def __init__(self, output: str, limits: MemoryLimits) -> None:
        self._output = output
        self._limits = limits
        self._alarm_counts: Counter[str] = Counter()
        self._image_count = 0
        # Of each camera the oldest alarms, by id; without gaps up to the last of them.
        self._oldest: dict[str, dict[int, Row]] = {}
        # The images of the newest alarms, by sequence number (oldest first) and id.
        self._newest: dict[int, dict[int, Row]] = {}
        self._known_images = 0
        # Images whose bytes are in memory: sequence number by id, oldest first.
        self._with_bytes: dict[int, int] = {}
        self._bytes_in_memory = 0

    def load(self, db: sqlite3.Connection) -> None:
        """Count the rows in the table."""
        query = "SELECT camera, count(*) FROM message WHERE picture = 0 AND output = ? GROUP BY camera"
        self._alarm_counts.update(dict(db.execute(query, (self._output,)).fetchall()))
        query = "SELECT count(*) FROM message WHERE picture = 1 AND output = ?"
        (self._image_count,) = db.execute(query, (self._output,)).fetchone()

    def alarms(self) -> int:
        """Number of waiting rows that are not images."""
        return sum(self._alarm_counts.values())

    def count(self) -> int:
        """Number of waiting rows."""
        return self._image_count + self.alarms()

    def in_memory(self) -> list[Row]:
        """The rows in memory; images may be without their bytes."""
        return [row for group in (*self._oldest.values(), *self._newest.values()) for row in group.values()]

    def known(self, wanted: set[int]) -> dict[int, Row]:
        """By id, those of the rows `wanted` that are in memory, and therefore in the table."""
        found = dict[int, Row]()
        for group in (*self._oldest.values(), *self._newest.values()):
            found.update({identity: group[identity] for identity in wanted & group.keys()})
        return found

    # What is next

    def next_alarms(
        self, busy: Collection[str], after: Mapping[str, int], delivered: Collection[int]
    ) -> tuple[list[Row], list[str]]:
        """The oldest alarm of each camera that is not `busy`; and the cameras whose next must be read from the disk."""
        found, unknown = [], []
        for camera, count in self._alarm_counts.items():
            if count > 0 and camera not in busy:
                row = self._oldest_of(camera, after.get(camera, 0), delivered)
                if row is not None:
                    found.append(row)
                elif count > len(self._oldest.get(camera, ())):
                    unknown.append(camera)
        return sorted(found, key=lambda row: row.id), unknown

    def next_images(
        self, limit: int, excluding: Collection[int], max_bytes: int | None, delivered: Collection[int]
    ) -> tuple[list[Row], bool]:
        """Images of the newest alarm first; and whether more must be read from the disk."""
        chosen: list[Row] = []
        total = 0
        for row in self._newest_first():
            if row.id in excluding or row.id in delivered:
                continue
            total += row.cost
            if len(chosen) == limit or (chosen and max_bytes is not None and total > max_bytes):
                return chosen, False
            chosen.append(row)
        return chosen, len(chosen) < limit and self._known_images < self._image_count

    def read_alarms(self, db: sqlite3.Connection, cameras: Iterable[str], first_id_of_run: int) -> None:
        """Read more alarms of these cameras. Rows before `first_id_of_run` have the time of another clock."""
        for camera in cameras:
            known = self._oldest.setdefault(camera, {})
            last = max(known, default=0)
            for found in db.execute(_ALARMS, (camera, last, self._output, ALARMS_AT_A_TIME)).fetchall():
                row = row_of(found)
                known[row.id] = row if row.id >= first_id_of_run else replace(row, captured_monotonic=None)

    def read_images(self, db: sqlite3.Connection) -> None:
        """Read the images of older alarms, without their bytes."""
        oldest = min(self._newest, default=2**62)
        older: dict[int, dict[int, Row]] = {}
        for found in db.execute(_IMAGES, (self._output, oldest, IMAGES_OF_ALARMS_AT_A_TIME)).fetchall():
            row = row_of(found)
            older.setdefault(row.sequence, {})[row.id] = row
            self._known_images += 1
        self._newest = {**older, **self._newest}

    def _oldest_of(self, camera: str, after: int, delivered: Collection[int]) -> Row | None:
        known = self._oldest.get(camera, {})
        return next((row for row in known.values() if row.id > after and row.id not in delivered), None)

    def _newest_first(self) -> Iterator[Row]:
        for rows in reversed(self._newest.values()):
            yield from rows.values()

    # Following the table

    def add(self, row: Row) -> None:
        """A row was inserted."""
        if row.is_image:
            self._image_count += 1
            self._known_images += 1
            self._newest.setdefault(row.sequence, {})[row.id] = row
            if row.location is not None:
                self._with_bytes[row.id] = row.sequence
                self._bytes_in_memory += row.location.length
            return
        known = self._oldest.setdefault(row.camera, {})
        if len(known) == self._alarm_counts[row.camera] and len(known) < self._limits.alarms:
            known[row.id] = row
        self._alarm_counts[row.camera] += 1

    def remove(self, row: Row) -> None:
        """A row was deleted."""
        if not row.is_image:
            self._alarm_counts[row.camera] -= 1
            self._oldest.get(row.camera, {}).pop(row.id, None)
            return
        self._image_count -= 1
        rows = self._newest.get(row.sequence, {})
        if rows.pop(row.id, None) is not None:
            self._known_images -= 1
            self._forget_bytes(row)
            if not rows:
                del self._newest[row.sequence]

    def replace(self, row: Row) -> None:
        """An image was replaced by this note."""
        rows = self._newest.get(row.sequence, {})
        if row.id in rows:
            self._forget_bytes(rows[row.id])
            rows[row.id] = row

    def trim(self) -> None:
        """Forget what exceeds the limits: the bytes of the oldest images first, then the images themselves."""
        while self._bytes_in_memory > self._limits.image_bytes:
            identity, sequence = next(iter(self._with_bytes.items()))
            row = self._newest[sequence][identity]
            self._forget_bytes(row)
            self._newest[sequence][identity] = replace(row, payload=b"")
        while self._known_images > self._limits.images and len(self._newest) > 1:
            for row in self._newest.pop(next(iter(self._newest))).values():
                self._known_images -= 1
                self._forget_bytes(row)

    def _forget_bytes(self, row: Row) -> None:
        if self._with_bytes.pop(row.id, None) is not None and row.location is not None:
            self._bytes_in_memory -= row.location.length
