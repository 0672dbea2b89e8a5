"""The database, the image files and the queue in memory as one: opened, read and changed together."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from agent.core.errors import InspectdError
from agent.outputs.outbox.database import Database, DiskFull
from agent.outputs.outbox.image_files import ImageFiles
from agent.outputs.outbox.output_queue import MemoryLimits
from agent.outputs.outbox.queue import RowQueue
from agent.outputs.outbox.quota import drop_older_images
from agent.outputs.outbox.recovery import SEQUENCE_JUMP, Reserve, SequenceFile
from agent.outputs.outbox.rows import ADDITIONS, COLUMNS, SCHEMA, UPGRADES, columns_of, segment_usage
from agent.outputs.outbox.salvage import Salvaged, salvage
from agent.outputs.outbox.set_aside import stamp_of
from agent.outputs.outbox.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")


class Storage:
    """Holds the rows and images of one outbox. Raises only `Temporary` and `Permanent`."""

    def __init__(self, path: Path, max_bytes: int, limits: MemoryLimits) -> None:
        """Open the database, or create it; raises `Permanent` if that fails or another process uses it."""
        self.lock = threading.RLock()
        """Held by a thread that calls `change`. `queue` can be queried without it."""
        self.queue = RowQueue(limits)
        self.images = ImageFiles(path.with_name(path.name + ".pictures"), max_bytes=max_bytes)
        self.incidents: list[str] = []
        """Losses since the outbox was opened that should be reported, one line each."""
        self.sequence = 0
        """The latest sequence number."""
        self._name = path.name
        self._sequence_file = SequenceFile(path.with_name(path.name + ".sequence"))
        self._reserve = Reserve(path.with_name(path.name + ".reserve"))
        self.database = self._open_database(path)
        # What an earlier process deleted without a sync is durable after this: its images may be overwritten.
        self.database.checkpoint()
        self.database.transaction(self._load, durable=False)
        self._first_id_of_run = self.queue.last_id + 1
        self._reserve.allocate()

    def change(self, work: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Run `work` in a transaction, which also deletes the acknowledged rows; returns its result.

        Queue and image files follow once it is committed. `durable=False` skips the sync: a power cut may undo it.
        """
        undeleted = self.queue.undeleted()

        def transaction(db: sqlite3.Connection) -> tuple[T, Transaction]:
            self.images.discard()
            change = Transaction(db, self.images, self.queue.bytes, self.queue.last_id)
            known = self.queue.known(undeleted)
            change.delete_known(known)
            change.delete(identity for identity in undeleted if identity not in known)
            result = work(change)
            self.images.begin_sync()
            change.flush()
            # Durable before the commit, and so before the rows that refer to them.
            self.images.sync()
            return result, change

        try:
            result, change = self.database.transaction(transaction, durable=durable)
        except BaseException:
            self.images.discard()
            raise
        change.committed(durable=durable)
        self.queue.apply(change)
        self.queue.deleted(undeleted)
        return result

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads, and return its result."""
        with self.lock:
            return self.database.read(work)

    def read_alarms(self, output: str, cameras: list[str]) -> None:
        """Read more alarms of these cameras from the disk into the queue."""
        self.read(lambda db: self.queue.read_alarms(db, output, cameras, self._first_id_of_run))

    def read_images(self, output: str) -> None:
        """Read images of older alarms from the disk into the queue, without their bytes."""
        self.read(lambda db: self.queue.read_images(db, output))

    def record_sequence(self, sequence: int) -> None:
        """This is the latest sequence number now."""
        self.sequence = sequence
        self._sequence_file.write(sequence)

    def bytes_on_disk(self) -> int:
        """Size of the database, its log and the image files, bytes."""
        return self.database.bytes_on_disk() + self.images.bytes_on_disk

    def close(self) -> None:
        """Delete what is acknowledged, if the disk allows it, and close all files."""
        with self.lock:
            if self.queue.undeleted():
                with suppress(InspectdError):
                    self.change(lambda _: None, durable=False)
            self.database.close()
            self.images.close()
            self._sequence_file.close()

    # A full disk

    def free_disk_space(self) -> None:
        """The disk is full: release the reserve and drop the older half of the images, for the next alarms."""
        self._reserve.release()
        self.images.delete_spares()
        self.database.checkpoint()
        with suppress(DiskFull):
            self.change(drop_older_images)
        self.images.delete_spares()
        self.database.checkpoint()
        self.database.shrink(keep_pages=0)
        self.database.checkpoint()
        self._reserve.allocate()

    def tidy(self) -> None:
        """Everything is delivered: return space to the file system, and allocate the reserve again."""
        self.database.shrink()
        self._reserve.allocate()

    # Opening

    def _open_database(self, path: Path) -> Database:
        try:
            return Database(path, SCHEMA, on_new_file=self._fill_new_file, upgrades=UPGRADES, additions=ADDITIONS)
        except DiskFull:
            # A damaged file has to be replaced on a full disk.
            self._reserve.release()
            return Database(path, SCHEMA, on_new_file=self._fill_new_file, upgrades=UPGRADES, additions=ADDITIONS)

    def _load(self, db: sqlite3.Connection) -> None:
        self.queue.load(db)
        (self.sequence,) = db.execute("SELECT value FROM counter WHERE name = 'sequence'").fetchone()
        self.images.open(segment_usage(db))

    def _fill_new_file(self, db: sqlite3.Connection, aside: Path | None) -> None:
        """After a damaged file: what can be read of it, and sequence numbers after a gap.

        `aside`: the damaged file; None if there was none.
        """
        found = Salvaged() if aside is None else salvage(aside)
        for row in self.queue.in_memory():
            found.rows.setdefault(row.id, columns_of(row))
        for identity in self.queue.undeleted():
            found.rows.pop(identity, None)
        known = max(found.counters.get("sequence", 0), self.sequence, self._sequence_file.read())
        start = known + SEQUENCE_JUMP if known > 0 or aside is not None else 0
        db.execute("INSERT INTO counter VALUES ('sequence', ?)", (start,))
        # A PUBACK for a row of the lost file must not delete another row of this one.
        last_id = max(self.queue.last_id, found.last_id, *found.rows)
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (last_id,))
        found.store(db)
        self.queue.load(db)
        self.sequence = start
        self._keep_images(db, aside)
        self._report_loss(found, aside)

    def _keep_images(self, db: sqlite3.Connection, aside: Path | None) -> None:
        """Continue with the images that rows refer to; where none does, they are set aside with their database."""
        usage = segment_usage(db)
        self.images.discard()
        if aside is not None and not usage:
            self.images.set_aside(f".corrupt-{stamp_of(aside)}")
        self.images.open(usage)

    def _report_loss(self, found: Salvaged, aside: Path | None) -> None:
        after = f"sequence numbers continue at {self.sequence + 1}"
        if aside is not None:
            alarms = sum(not row[COLUMNS.split(", ").index("picture")] for row in found.rows.values())
            others = "all that waited" if found.complete else "others may be lost"
            self.incidents.append(
                f"the outbox file was damaged and is set aside as {self._name}.corrupt-{stamp_of(aside)}: "
                f"{alarms} waiting alarm messages and {len(found.rows) - alarms} images could be read and will be "
                f"delivered, {others}; {after}"
            )
        elif self.sequence:
            self.incidents.append(f"the outbox file is gone, with every alarm that waited in it; {after}")
        for text in self.incidents[-1:]:
            log.error("%s", text)
