"""The rows that wait: how many there are, and, in memory, those that are sent next.

A commit keeps the disk busy for milliseconds. Whoever asks what to send next must not wait for it, so the oldest alarms
of each camera and the newest pictures are known here; the rest of a long backlog is read when its turn comes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from agent.outputs.outbox.rows import COLUMNS, COLUMNS_BUT_PAYLOAD, Row, row_of
from agent.outputs.outbox.transaction import Transaction

# Alarms of a camera and pictures of all that are known in memory: a kilobyte each, and minutes of a bad shift.
KNOWN_ALARMS = 500
KNOWN_PICTURES = 1500

# Pictures whose bytes stay in memory after they were accepted: those of a live alarm are on their way before anybody
# could want the memory back, and need not be read from the disk. 60 alarms with three pictures.
FRESH_BYTES = 16 * 1024 * 1024

# Read from the disk at a time: alarms of one camera, and the pictures of so many alarms.
ALARMS_AT_A_TIME = 100
PICTURES_OF_ALARMS_AT_A_TIME = 64

_ALARMS = f"SELECT {COLUMNS} FROM message WHERE picture = 0 AND camera = ? AND id > ? ORDER BY id LIMIT ?"
_PICTURES = (
    f"SELECT {COLUMNS_BUT_PAYLOAD} FROM message WHERE picture = 1 AND sequence IN "
    "(SELECT DISTINCT sequence FROM message WHERE picture = 1 AND sequence < ? ORDER BY sequence DESC LIMIT ?) "
    "ORDER BY sequence, id"
)


class RowQueue:
    """Follows the table, commit by commit. Any thread may ask; whoever changes or reads the table holds it still."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.last_id = 0
        """The highest row id so far."""
        self.clear()

    def clear(self) -> None:
        """Nothing waits."""
        with self._lock:
            self._alarms: Counter[str] = Counter()
            self._pictures = self.bytes = 0
            # Of each camera the oldest, by id; complete up to its last.
            self._oldest: dict[str, dict[int, Row]] = {}
            # The pictures of the newest alarms, by sequence number (oldest first) and id.
            self._newest: dict[int, dict[int, Row]] = {}
            self._known_pictures = 0
            # Ids of the pictures whose bytes are in memory, with their sequence numbers.
            self._fresh: dict[int, int] = {}
            self._fresh_bytes = 0
            # Acknowledged, and not deleted yet.
            self._leaving: dict[int, None] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Counts what is in the table."""
        self.clear()
        query = "SELECT camera, count(*) FROM message WHERE picture = 0 GROUP BY camera"
        self._alarms.update(dict(db.execute(query).fetchall()))
        (self._pictures,) = db.execute("SELECT count(*) FROM message WHERE picture = 1").fetchone()
        (self.bytes,) = db.execute("SELECT coalesce(sum(cost), 0) FROM message").fetchone()
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        self.last_id = max(self.last_id, last)

    # How many

    def count(self) -> int:
        with self._lock:
            return self._pictures + sum(self._alarms.values())

    def alarms(self) -> int:
        with self._lock:
            return sum(self._alarms.values())

    # What comes and goes

    def apply(self, change: Transaction) -> None:
        """The change is committed."""
        with self._lock:
            for row in change.removed.values():
                self._remove(row)
            for row in change.added.values():
                self._add(row)
            for row in change.swapped.values():
                self._swap(row)
            self.bytes = change.bytes
            self._forget_old_pictures()

    def leave(self, rows: Iterable[int]) -> None:
        """These are delivered: never offered again, and deleted with the next change."""
        with self._lock:
            self._leaving.update(dict.fromkeys(rows))

    def leaving(self) -> list[int]:
        with self._lock:
            return list(self._leaving)

    def known(self, rows: Iterable[int]) -> dict[int, Row]:
        """By id, those of `rows` that are in memory, and so in the table."""
        wanted, found = set(rows), dict[int, Row]()
        if not wanted:
            return found
        with self._lock:
            for group in (*self._oldest.values(), *self._newest.values()):
                found.update({identity: group[identity] for identity in wanted & group.keys()})
        return found

    def gone(self, rows: Iterable[int]) -> None:
        """These were leaving, and are deleted."""
        with self._lock:
            for identity in rows:
                self._leaving.pop(identity, None)

    # What is next

    def next_alarms(self, busy: Collection[str], after: Mapping[str, int]) -> tuple[list[Row], list[str]]:
        """The oldest of each camera that is not `busy`; and the cameras of which it has to be read from the disk."""
        found, unknown = [], []
        with self._lock:
            for camera, count in self._alarms.items():
                if count > 0 and camera not in busy:
                    row = self._oldest_of(camera, after.get(camera, 0))
                    if row is not None:
                        found.append(row)
                    elif count > len(self._oldest.get(camera, ())):
                        unknown.append(camera)
        return sorted(found, key=lambda row: row.id), unknown

    def next_pictures(self, limit: int, excluding: Collection[int], max_bytes: int | None) -> tuple[list[Row], bool]:
        """Those of the newest alarm first; and whether more would have to be read from the disk."""
        chosen: list[Row] = []
        total = 0
        with self._lock:
            for row in self._newest_first():
                if row.id in excluding or row.id in self._leaving:
                    continue
                total += row.cost
                if len(chosen) == limit or (chosen and max_bytes is not None and total > max_bytes):
                    return chosen, False
                chosen.append(row)
            return chosen, len(chosen) < limit and self._known_pictures < self._pictures

    def read_alarms(self, db: sqlite3.Connection, cameras: Iterable[str], first_id_of_run: int) -> None:
        """Gets to know more alarms of these cameras. The clock of rows before `first_id_of_run` was not ours."""
        with self._lock:
            for camera in cameras:
                known = self._oldest.setdefault(camera, {})
                last = max(known, default=0)
                for found in db.execute(_ALARMS, (camera, last, ALARMS_AT_A_TIME)).fetchall():
                    row = row_of(found)
                    known[row.id] = row if row.id >= first_id_of_run else replace(row, captured_monotonic=None)

    def read_pictures(self, db: sqlite3.Connection) -> None:
        """Gets to know the pictures of older alarms, not their bytes."""
        with self._lock:
            oldest = min(self._newest, default=2**62)
            older: dict[int, dict[int, Row]] = {}
            for found in db.execute(_PICTURES, (oldest, PICTURES_OF_ALARMS_AT_A_TIME)).fetchall():
                row = row_of(found)
                older.setdefault(row.sequence, {})[row.id] = row
                self._known_pictures += 1
            self._newest = {**older, **self._newest}

    def _oldest_of(self, camera: str, after: int) -> Row | None:
        known = self._oldest.get(camera, {})
        return next((row for row in known.values() if row.id > after and row.id not in self._leaving), None)

    def _newest_first(self) -> Iterator[Row]:
        for rows in reversed(self._newest.values()):
            yield from rows.values()

    def _add(self, row: Row) -> None:
        self.last_id = max(self.last_id, row.id)
        if row.picture:
            self._pictures += 1
            self._known_pictures += 1
            self._newest.setdefault(row.sequence, {})[row.id] = row
            if row.place is not None:
                self._fresh[row.id] = row.sequence
                self._fresh_bytes += row.place.length
            return
        known = self._oldest.setdefault(row.camera, {})
        if len(known) == self._alarms[row.camera] and len(known) < KNOWN_ALARMS:
            known[row.id] = row
        self._alarms[row.camera] += 1

    def _remove(self, row: Row) -> None:
        if not row.picture:
            self._alarms[row.camera] -= 1
            self._oldest.get(row.camera, {}).pop(row.id, None)
            return
        self._pictures -= 1
        rows = self._newest.get(row.sequence, {})
        if rows.pop(row.id, None) is not None:
            self._known_pictures -= 1
            self._forget_bytes(row)
            if not rows:
                del self._newest[row.sequence]

    def _swap(self, row: Row) -> None:
        rows = self._newest.get(row.sequence, {})
        if row.id in rows:
            self._forget_bytes(rows[row.id])
            rows[row.id] = row

    def _forget_bytes(self, row: Row) -> None:
        if self._fresh.pop(row.id, None) is not None and row.place is not None:
            self._fresh_bytes -= row.place.length

    def _forget_old_pictures(self) -> None:
        """First the bytes of the oldest, then the pictures themselves."""
        while self._fresh_bytes > FRESH_BYTES:
            identity, sequence = next(iter(self._fresh.items()))
            row = self._newest[sequence][identity]
            self._forget_bytes(row)
            self._newest[sequence][identity] = replace(row, payload=b"")
        while self._known_pictures > KNOWN_PICTURES and len(self._newest) > 1:
            for row in self._newest.pop(next(iter(self._newest))).values():
                self._known_pictures -= 1
                self._forget_bytes(row)
