"""The waiting rows of all outputs, in memory; each output has a queue of its own."""

from __future__ import annotations

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from agent.outputs.outbox.output_queue import MemoryLimits, OutputQueue
from agent.outputs.outbox.rows import Row
from agent.outputs.outbox.transaction import Transaction


class _Queues(defaultdict[str, OutputQueue]):
    """By output name; created on first use."""

    def __init__(self, limits: MemoryLimits) -> None:
        super().__init__()
        self._limits = limits

    def __missing__(self, output: str) -> OutputQueue:
        self[output] = OutputQueue(output, self._limits)
        return self[output]


class RowQueue:
    """Follows the table, commit by commit.

    Any thread may query it. A thread that changes or reads the table must hold the lock of `Storage`.
    """

    def __init__(self, limits: MemoryLimits) -> None:
        self._lock = threading.Lock()
        self._limits = limits
        self.last_id = 0
        """The highest row id so far."""
        self.clear()

    def clear(self) -> None:
        """Forget all rows."""
        with self._lock:
            self._queues = _Queues(self._limits)
            self.bytes = 0
            # Ids of rows that are acknowledged and not deleted yet, in order.
            self._delivered: dict[int, None] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Count the rows in the table."""
        self.clear()
        with self._lock:
            for (output,) in db.execute("SELECT DISTINCT output FROM message").fetchall():
                self._queues[output].load(db)
        (self.bytes,) = db.execute("SELECT coalesce(sum(cost), 0) FROM message").fetchone()
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        self.last_id = max(self.last_id, last)

    # How many

    def count(self, output: str | None = None) -> int:
        """Number of waiting rows, of one output or of all."""
        with self._lock:
            return sum(queue.count() for queue in self._of(output))

    def alarms(self, output: str | None = None) -> int:
        """Number of waiting rows that are not images, of one output or of all."""
        with self._lock:
            return sum(queue.alarms() for queue in self._of(output))

    def _of(self, output: str | None) -> Collection[OutputQueue]:
        return self._queues.values() if output is None else (self._queues[output],)

    # Following the table

    def apply(self, change: Transaction) -> None:
        """The transaction is committed."""
        with self._lock:
            for row in change.removed.values():
                self._queues[row.output].remove(row)
            for row in change.added.values():
                self.last_id = max(self.last_id, row.id)
                self._queues[row.output].add(row)
            for row in change.replaced.values():
                self._queues[row.output].replace(row)
            self.bytes = change.bytes
            for queue in self._queues.values():
                queue.trim()

    def acknowledged(self, rows: Iterable[int]) -> None:
        """These rows are delivered: they are not offered again, and are deleted with the next transaction."""
        with self._lock:
            self._delivered.update(dict.fromkeys(rows))

    def undeleted(self) -> list[int]:
        """Ids of rows that are delivered and not deleted yet."""
        with self._lock:
            return list(self._delivered)

    def deleted(self, rows: Iterable[int]) -> None:
        """These delivered rows are deleted now."""
        with self._lock:
            for identity in rows:
                self._delivered.pop(identity, None)

    def known(self, rows: Iterable[int]) -> dict[int, Row]:
        """By id, those of `rows` that are in memory, and therefore in the table."""
        wanted, found = set(rows), dict[int, Row]()
        if wanted:
            with self._lock:
                for queue in self._queues.values():
                    found.update(queue.known(wanted))
        return found

    def in_memory(self) -> list[Row]:
        """The rows that are in memory and not delivered: what a database that is lost meanwhile would take away."""
        with self._lock:
            rows = [row for queue in self._queues.values() for row in queue.in_memory()]
            return [row for row in rows if row.id not in self._delivered]

    # What is next

    def next_alarms(self, output: str, busy: Collection[str], after: Mapping[str, int]) -> tuple[list[Row], list[str]]:
        """The oldest alarm of each camera that is not `busy`; and the cameras whose next must be read from the disk."""
        with self._lock:
            return self._queues[output].next_alarms(busy, after, self._delivered)

    def next_images(
        self, output: str, limit: int, excluding: Collection[int], max_bytes: int | None
    ) -> tuple[list[Row], bool]:
        """Images of the newest alarm first; and whether more must be read from the disk."""
        with self._lock:
            return self._queues[output].next_images(limit, excluding, max_bytes, self._delivered)

    def read_alarms(self, db: sqlite3.Connection, output: str, cameras: Iterable[str], first_id_of_run: int) -> None:
        """Read more alarms of these cameras. Rows before `first_id_of_run` have the time of another clock."""
        with self._lock:
            self._queues[output].read_alarms(db, cameras, first_id_of_run)

    def read_images(self, db: sqlite3.Connection, output: str) -> None:
        """Read the images of older alarms, without their bytes."""
        with self._lock:
            self._queues[output].read_images(db)
