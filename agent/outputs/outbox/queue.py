"""The waiting rows of all outputs, in memory; each output has a queue of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from agent.outputs.outbox.output_queue import OutputQueue
from agent.outputs.outbox.rows import Row
from agent.outputs.outbox.transaction import Transaction


class _Queues(defaultdict[str, OutputQueue]):
    """By the name of the output; made when it is first asked for."""

    def __missing__(self, output: str) -> OutputQueue:
        self[output] = OutputQueue(output)
        return self[output]


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
            self._queues = _Queues()
            self.bytes = 0
            # Acknowledged, and not deleted yet.
            self._leaving: dict[int, None] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Count what is in the table."""
        self.clear()
        with self._lock:
            for (output,) in db.execute("SELECT DISTINCT output FROM message").fetchall():
                self._queues[output].load(db)
        (self.bytes,) = db.execute("SELECT coalesce(sum(cost), 0) FROM message").fetchone()
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        self.last_id = max(self.last_id, last)

    # How many

    def count(self, output: str | None = None) -> int:
        """Waiting rows: of one output, or of all."""
        with self._lock:
            return sum(queue.count() for queue in self._of(output))

    def alarms(self, output: str | None = None) -> int:
        """Waiting rows that are no images: of one output, or of all."""
        with self._lock:
            return sum(queue.alarms() for queue in self._of(output))

    def _of(self, output: str | None) -> Collection[OutputQueue]:
        return self._queues.values() if output is None else (self._queues[output],)

    # Following the table

    def apply(self, change: Transaction) -> None:
        """The change is committed."""
        with self._lock:
            for row in change.removed.values():
                self._queues[row.output].remove(row)
            for row in change.added.values():
                self.last_id = max(self.last_id, row.id)
                self._queues[row.output].add(row)
            for row in change.swapped.values():
                self._queues[row.output].swap(row)
            self.bytes = change.bytes
            for queue in self._queues.values():
                queue.trim()

    def leave(self, rows: Iterable[int]) -> None:
        """These are delivered: never offered again, and deleted with the next change."""
        with self._lock:
            self._leaving.update(dict.fromkeys(rows))

    def leaving(self) -> list[int]:
        """Ids of rows that are delivered and not deleted yet."""
        with self._lock:
            return list(self._leaving)

    def gone(self, rows: Iterable[int]) -> None:
        """These were leaving, and are deleted."""
        with self._lock:
            for identity in rows:
                self._leaving.pop(identity, None)

    def known(self, rows: Iterable[int]) -> dict[int, Row]:
        """By id, those of `rows` that are in memory, and so in the table."""
        wanted, found = set(rows), dict[int, Row]()
        if wanted:
            with self._lock:
                for queue in self._queues.values():
                    found.update(queue.known(wanted))
        return found

    # What is next

    def next_alarms(self, output: str, busy: Collection[str], after: Mapping[str, int]) -> tuple[list[Row], list[str]]:
        """The oldest alarm of each camera that is not `busy`; and the cameras whose next must be read from the disk."""
        with self._lock:
            return self._queues[output].next_alarms(busy, after, self._leaving)

    def next_pictures(
        self, output: str, limit: int, excluding: Collection[int], max_bytes: int | None
    ) -> tuple[list[Row], bool]:
        """Images of the newest alarm first; and whether more must be read from the disk."""
        with self._lock:
            return self._queues[output].next_pictures(limit, excluding, max_bytes, self._leaving)

    def read_alarms(self, db: sqlite3.Connection, output: str, cameras: Iterable[str], first_id_of_run: int) -> None:
        """Read more alarms of these cameras. Rows before `first_id_of_run` were timed by another process's clock."""
        with self._lock:
            self._queues[output].read_alarms(db, cameras, first_id_of_run)

    def read_pictures(self, db: sqlite3.Connection, output: str) -> None:
        """Read the images of older alarms, without their bytes."""
        with self._lock:
            self._queues[output].read_pictures(db)
