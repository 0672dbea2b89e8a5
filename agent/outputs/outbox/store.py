"""The outbox: accepted messages are on the disk, and stay there until their output acknowledges them.

Alarms that are accepted together are one transaction: sequence numbers, messages and the agent's own state (which
alarms are active) are durable before `accept` returns, or none of them is. Images are durable before the rows that
refer to them. A row is deleted only after `acknowledge`. If the quota on disk is exceeded, the oldest images are
dropped, then the oldest alarms that are already cleared; everything dropped is counted.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from agent.core.ids import new_id
from agent.outputs.outbox.database import DiskFull
from agent.outputs.outbox.image_files import DamagedImage
from agent.outputs.outbox.output_queue import MemoryLimits
from agent.outputs.outbox.quota import Quota
from agent.outputs.outbox.recovery import WarnOnce
from agent.outputs.outbox.rows import (
    DEFAULT_OUTPUT,
    UNNUMBERED,
    Counts,
    Entry,
    Following,
    Message,
    Row,
    cost_of,
    count_up,
    counters,
    payload_of,
    store_state,
)
from agent.outputs.outbox.storage import Storage
from agent.outputs.outbox.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_MAX_BYTES = 2 * 1024**3

# Alarms that share a commit at most. Writing and syncing 265 kB took 1.6 ms, 8 times that 3.8 ms: more gain little, and
# the first waits for the last.
MAX_TOGETHER = 16

# Emptied segments from which on a deletion is synced: the room it frees is worth it.
SYNC_FROM_EMPTIED = 2


class Outbox:
    """The durable queue. Any thread may call any method. Raises only `Temporary` and `Permanent`."""

    def __init__(
        self, path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES, memory_limits: MemoryLimits | None = None
    ) -> None:
        """Open the outbox, or create it. A corrupt file is set aside and reported in `incidents`.

        Raises `Permanent` if the file cannot be opened or another process uses it.

        Args:
            path: the database; images are stored beside it.
            max_bytes: limit for everything that waits, images included.
            memory_limits: how much of a backlog is kept in memory; None for the default.
        """
        self._storage = Storage(path, max_bytes, memory_limits or MemoryLimits())
        self._queue = self._storage.queue
        self._quota = Quota(max_bytes, self._storage.images)
        self._warnings = WarnOnce()
        self.epoch = new_id()
        """Id of this run. A sequence number may return, after a restored backup for instance; with the epoch it is
        unique."""
        self.on_accepted: list[Callable[[], None]] = []
        """Each is called after every `accept`, on the caller's thread."""

    # Accepting

    def accept(
        self,
        camera: str,
        build: Callable[[int], Sequence[Message]],
        *,
        state: Mapping[str, bytes] | None = None,
        captured_monotonic: float | None = None,
    ) -> int:
        """Store an alarm; returns its sequence number once its messages and the new `state` are durable.

        `build(sequence)` builds the messages; if it raises, nothing is stored and no number is used. On a full disk,
        the oldest waiting images and the alarm's own are given up before the alarm is. Raises `Temporary`.
        """
        (sequence,) = self.accept_together([Entry(camera, build, state or {}, captured_monotonic)])
        return sequence

    def accept_together(self, entries: Sequence[Entry]) -> list[int]:
        """The same for several alarms, in their order: all of them are durable, or none is.

        A commit of sixteen alarms costs as much as one of two; more than `MAX_TOGETHER` gain nothing.
        """
        with self._storage.lock:
            try:
                sequences = self._accept(entries, with_images=True)
            except DiskFull:
                self._warnings.warn("the disk is full", "dropping waiting images to keep the alarms")
                self._storage.free_disk_space()
                sequences = self._accept(entries, with_images=False)
        for wake in self.on_accepted:
            wake()
        return sequences

    def _accept(self, entries: Sequence[Entry], *, with_images: bool) -> list[int]:
        def work(change: Transaction) -> list[int]:
            # Numbered here: if the file turns out to be corrupt, this runs again on a new one, after the gap.
            first = self._storage.sequence + 1
            numbers = range(first, first + len(entries))
            for sequence, entry in zip(numbers, entries, strict=True):
                self._add(change, sequence, entry, with_images=with_images)
            change.db.execute("INSERT OR REPLACE INTO counter VALUES ('sequence', ?)", (numbers[-1],))
            return list(numbers)

        sequences = self._storage.change(work)
        self._storage.record_sequence(sequences[-1])
        return sequences

    def _add(self, change: Transaction, sequence: int, entry: Entry, *, with_images: bool) -> None:
        messages = entry.build(sequence)
        kept = self._quota.fitting(messages) if with_images else [m for m in messages if not m.is_image]
        count_up(change.db, "dropped_pictures", len(messages) - len(kept))
        dropped = self._quota.make_room(change, sum(map(cost_of, kept)))
        if dropped:
            what = f"{dropped.images} images and {dropped.alarms} messages of cleared alarms"
            self._warnings.warn("the outbox is full", f"{self._quota.max_bytes} bytes; dropped {what}")
        for message in kept:
            change.insert(sequence, entry.camera, message, entry.captured_monotonic)
        store_state(change.db, entry.state)
        if entry.also is not None:
            entry.also(change.db)
        if entry.follows is not None:
            self._add_following(change, entry.follows)

    def _add_following(self, change: Transaction, follows: Following) -> None:
        for camera, message in follows(change.db):
            self._quota.make_room(change, cost_of(message))
            change.insert(UNNUMBERED, camera, message, None)

    def add_following(self, follows: Following) -> None:
        """Change other tables of the file, and store what follows from it. Raises `Temporary`."""
        self._commit(lambda change: self._add_following(change, follows))

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads, and return its result. Raises `Temporary`."""
        return self._storage.read(work)

    def add_unnumbered(self, camera: str, messages: Sequence[Message]) -> None:
        """Store messages that are no alarms, such as a verdict, behind the waiting alarms of their camera.

        They use no sequence number: a gap in those always means a lost alarm. Raises `Temporary`.
        """

        def work(change: Transaction) -> None:
            self._quota.make_room(change, sum(map(cost_of, messages)))
            for message in messages:
                change.insert(UNNUMBERED, camera, message, None)

        self._commit(work)

    def add_images(self, camera: str, sequence: int, images: Sequence[Message]) -> None:
        """Store images behind the result with this number; without room for them they are dropped. Raises `Temporary`.

        Not synced: results wait for no image, and a power cut may take the latest ones.
        """
        self._commit(lambda change: self._quota.insert_images(change, camera, sequence, images), durable=False)

    def _commit(self, work: Callable[[Transaction], None], *, durable: bool = True) -> None:
        with self._storage.lock:
            self._storage.change(work, durable=durable)
        for wake in self.on_accepted:
            wake()

    # What is next

    def next_alarms(
        self,
        limit: int,
        *,
        output: str = DEFAULT_OUTPUT,
        busy: Collection[str] = (),
        after: Mapping[str, int] | None = None,
    ) -> list[Row]:
        """An output's oldest waiting alarm message of each camera that is not `busy`, oldest first, at most `limit`.

        `after`: by camera, the highest row id that has been delivered already.
        """
        if limit <= 0:
            return []
        rows, unknown = self._queue.next_alarms(output, busy, after or {})
        if unknown:
            self._storage.read_alarms(output, unknown)
            rows, _ = self._queue.next_alarms(output, busy, after or {})
        return rows[:limit]

    def next_images(
        self,
        limit: int,
        *,
        output: str = DEFAULT_OUTPUT,
        excluding: Collection[int] = (),
        max_bytes: int | None = None,
    ) -> list[Row]:
        """An output's waiting images without the rows in `excluding`: those of the newest alarm first.

        At most `limit`, and no more than fit into `max_bytes`, except for the first. Newest first, since a technician
        may be looking at that alarm now, and the oldest are the first to be dropped.
        """
        if limit <= 0:
            return []
        rows, unknown = self._queue.next_images(output, limit, excluding, max_bytes)
        if unknown:
            self._storage.read_images(output)
            rows, _ = self._queue.next_images(output, limit, excluding, max_bytes)
        return [filled for row in rows if (filled := self._with_bytes(row)) is not None]

    def _with_bytes(self, row: Row) -> Row | None:
        """The image with its bytes; None if the disk has lost them."""
        if row.payload:
            return row
        if row.location is None:
            payload = self._storage.read(lambda db: payload_of(db, row.id))
            return None if payload is None else replace(row, payload=payload)
        try:
            return replace(row, payload=self._storage.images.read(row.location))
        except DamagedImage as damage:
            self._drop_damaged(row, str(damage))
            return None

    def _drop_damaged(self, row: Row, reason: str) -> None:
        """Count a damaged image as dropped, unless it was dropped, and counted, in the meantime."""

        def work(change: Transaction) -> int:
            dropped = change.delete([row.id])
            count_up(change.db, "dropped_pictures", dropped)
            return dropped

        with self._storage.lock:
            dropped = self._storage.change(work)
        if dropped:
            self._warnings.warn("an image is damaged on the disk", f"{row.part} of alarm {row.alarm} dropped: {reason}")

    # Delivered, rejected, replaced

    def acknowledge(self, rows: Iterable[int]) -> None:
        """Delete delivered rows, by id; a missing row is no error.

        Does not wait for another thread's commit: the rows are then deleted with the next transaction
        (`has_undeleted`). Not synced: after a power cut they may be sent once more, with the same id. Raises
        `Temporary`; the rows are not offered again, and are deleted later.
        """
        self._queue.acknowledged(rows)
        if self._storage.lock.acquire(blocking=False):
            try:
                durable = self._storage.images.emptied >= SYNC_FROM_EMPTIED
                self._storage.change(lambda _: None, durable=durable)
                if self._queue.count() == 0:
                    self._storage.tidy()
                    self._warnings.over()
            finally:
                self._storage.lock.release()

    @property
    def has_undeleted(self) -> bool:
        """Acknowledged rows are not deleted yet; `acknowledge`, even without rows, tries again."""
        return bool(self._queue.undeleted())

    def reject(self, row: Row, reason: str) -> None:
        """Move a row that its output will never accept to the dead letters; counted and logged."""
        with self._storage.lock:
            self._storage.change(lambda change: change.reject(row, reason))
        log.error("dead letter: %s of alarm %s, sequence %d: %s", row.part, row.alarm, row.sequence, reason)

    def replace(self, row: Row, message: Message) -> None:
        """Replace an image that its output cannot take by `message`, a note."""
        with self._storage.lock:
            self._storage.change(lambda change: change.replace(row, message))

    def keep_outputs(self, outputs: Collection[str]) -> int:
        """Delete rows of outputs that are no longer configured; they would wait, and use the quota, for ever.

        Returns how many messages that were. Their sequence numbers are not missing: other outputs have them.
        """
        with self._storage.lock:
            deleted = self._storage.change(lambda change: change.delete_other_outputs(outputs))
        if deleted:
            text = f"{deleted} waiting messages of outputs that are no longer configured were dropped"
            self._storage.incidents.append(text)
            log.warning("%s", text)
        return deleted

    # State and counts

    def state(self) -> dict[str, bytes]:
        """The agent's state as stored by `accept` and `save_state`, by key."""
        return dict(self._storage.read(lambda db: db.execute("SELECT key, value FROM agent_state").fetchall()))

    def save_state(self, state: Mapping[str, bytes]) -> None:
        """Store `state` durably; other keys stay unchanged."""
        with self._storage.lock:
            self._storage.change(lambda change: store_state(change.db, state))

    def counts(self) -> Counts:
        """What waits, and what has been lost."""
        values, missing = self._storage.read(counters)
        return Counts(
            waiting=self._queue.count(),
            waiting_bytes=self._queue.bytes,
            sequence=self._storage.sequence,
            dropped_pictures=values["dropped_pictures"],
            dropped_alarms=values["dropped_alarms"],
            dead_letters=values["dead_letters"],
            omitted_pictures=values["omitted_pictures"],
            missing=missing,
            epoch=self.epoch,
        )

    def waiting(self, output: str | None = None) -> int:
        """Number of waiting rows, of one output or of all; neither reads the disk nor waits for it."""
        return self._queue.count(output)

    def alarms_waiting(self, output: str | None = None) -> int:
        """Number of waiting rows that are not images, of one output or of all; does not read the disk."""
        return self._queue.alarms(output)

    def last_id(self) -> int:
        """The highest row id so far: rows with a higher one are accepted later."""
        return self._queue.last_id

    def incidents(self) -> list[str]:
        """Losses since the outbox was opened that should be reported, one line each."""
        return list(self._storage.incidents)

    def bytes_on_disk(self) -> int:
        """Size of the database, its log and the image files, bytes."""
        return self._storage.bytes_on_disk()

    def close(self) -> None:
        self._storage.close()
