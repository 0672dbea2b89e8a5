"""The outbox: what was accepted is on the disk, and stays there until the broker acknowledged it.

What is accepted together is one transaction: the sequence numbers, the messages and the agent's own state (which alarms
stand) are durable before `accept` returns, or none of them is; the pictures are durable before the rows that name them.
A row leaves on `acknowledge`, never before. The quota on disk is kept by dropping the oldest pictures, then the oldest
alarms that are already cleared; every drop is counted.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from agent.core.errors import InspectdError
from agent.outputs.outbox.database import Database, DiskFull
from agent.outputs.outbox.image_files import WORTH_A_SYNC, Damaged, ImageFiles
from agent.outputs.outbox.queue import RowQueue
from agent.outputs.outbox.quota import Quota, give_up_pictures
from agent.outputs.outbox.recovery import SEQUENCE_JUMP, Hint, Reserve
from agent.outputs.outbox.rows import (
    DEFAULT_OUTPUT,
    SCHEMA,
    UPGRADES,
    Counts,
    Entry,
    Message,
    Row,
    cost_of,
    count_up,
    counters,
    named_segments,
    payload_of,
    salvage,
    store_state,
)
from agent.outputs.outbox.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_MAX_BYTES = 2 * 1024**3

# Alarms that share a commit at most. Writing and syncing 265 kB took 1.6 ms, 8 times that 3.8 ms: more gain little, and
# the first waits for the last.
MAX_TOGETHER = 16


class Outbox:
    """The store. Any thread may call any method. Raises `Temporary` and `Permanent` only."""

    def __init__(self, path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Opens or begins the file; `max_bytes` bounds what waits in it and in the pictures beside it.

        Raises `Permanent` where it cannot be opened or another process has it. A corrupt file is set aside, and told.
        """
        # Held by whoever changes or reads the tables; `RowQueue` answers without it.
        self._writing = threading.RLock()
        self._waiting = RowQueue()
        self._segments = ImageFiles(path.with_name(path.name + ".pictures"), max_bytes=max_bytes)
        self._quota = Quota(max_bytes, self._segments)
        self._hint = Hint(path.with_name(path.name + ".sequence"))
        self._reserve = Reserve(path.with_name(path.name + ".reserve"))
        self._incidents: list[str] = []
        self._told: set[str] = set()
        self._sequence = 0
        self._database = Database(path, SCHEMA, on_new_file=self._begin, upgrades=UPGRADES)
        # What an earlier process deleted without a sync is durable now: its pictures may be written over.
        self._database.checkpoint()
        self._database.transaction(self._load, durable=False)
        self._first_id_of_run = self._waiting.last_id + 1
        self._reserve.keep()
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
        """The sequence number given to an alarm of `camera`, once its messages and the new `state` are durable.

        `build(sequence)` makes the messages; nothing is stored and no number is used up where it raises. Where the disk
        is full, the oldest waiting pictures and the alarm's own are given up before the alarm is. Raises `Temporary`.
        """
        (sequence,) = self.accept_together([Entry(camera, build, state or {}, captured_monotonic)])
        return sequence

    def accept_together(self, entries: Sequence[Entry]) -> list[int]:
        """The same for alarms that wait at the same time, in their order: all of them are durable, or none is.

        A commit costs as much for sixteen alarms as for two: `MAX_TOGETHER` is as many as it is good for.
        """
        with self._writing:
            try:
                sequences = self._accept(entries, with_pictures=True)
            except DiskFull:
                self._warn_once("the disk is full", "giving up waiting pictures to keep the alarms")
                self._give_up_pictures()
                sequences = self._accept(entries, with_pictures=False)
        for wake in self.on_accepted:
            wake()
        return sequences

    def _accept(self, entries: Sequence[Entry], *, with_pictures: bool) -> list[int]:
        def work(change: Transaction) -> list[int]:
            # Numbered here: where the file turns out to be corrupt, this runs again in a new one, behind the gap.
            numbers = range(self._sequence + 1, self._sequence + 1 + len(entries))
            for sequence, entry in zip(numbers, entries, strict=True):
                self._add(change, sequence, entry, with_pictures=with_pictures)
            change.db.execute("INSERT OR REPLACE INTO counter VALUES ('sequence', ?)", (numbers[-1],))
            return list(numbers)

        sequences = self._change(work)
        self._sequence = sequences[-1]
        self._hint.write(self._sequence)
        return sequences

    def _add(self, change: Transaction, sequence: int, entry: Entry, *, with_pictures: bool) -> None:
        messages = entry.build(sequence)
        kept = self._quota.fitting(messages) if with_pictures else [m for m in messages if not m.picture]
        count_up(change.db, "dropped_pictures", len(messages) - len(kept))
        dropped = self._quota.make_room(change, sum(map(cost_of, kept)))
        if dropped:
            what = f"{dropped.pictures} pictures and {dropped.alarms} messages of cleared alarms"
            self._warn_once("the outbox is full", f"{self._quota.max_bytes} bytes; dropped {what}")
        for message in kept:
            change.insert(sequence, entry.camera, message, entry.captured_monotonic)
        store_state(change.db, entry.state)

    def _change(self, work: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Runs `work`, and deletes what was acknowledged meanwhile; memory and segments follow the commit."""
        leaving = self._waiting.leaving()

        def transaction(db: sqlite3.Connection) -> tuple[T, Transaction]:
            self._segments.undo()
            change = Transaction(db, self._segments, self._waiting.bytes, self._waiting.last_id)
            known = self._waiting.known(leaving)
            change.delete_known(known)
            change.delete(identity for identity in leaving if identity not in known)
            result = work(change)
            self._segments.begin_sync()
            change.flush()
            # Durable before the commit, and so before the rows that say where they lie.
            self._segments.sync()
            return result, change

        try:
            result, change = self._database.transaction(transaction, durable=durable)
        except BaseException:
            self._segments.undo()
            raise
        change.committed(durable=durable)
        self._waiting.apply(change)
        self._waiting.gone(leaving)
        return result

    # What is next

    def next_alarms(
        self,
        limit: int,
        *,
        output: str = DEFAULT_OUTPUT,
        busy: Collection[str] = (),
        after: Mapping[str, int] | None = None,
    ) -> list[Row]:
        """An output's oldest waiting alarm message of each camera that is not `busy`, oldest first, `limit` at most.

        `after`: by camera, the highest row id that needs no looking at, being with the broker already.
        """
        if limit <= 0:
            return []
        rows, unknown = self._waiting.next_alarms(output, busy, after or {})
        if unknown:
            self._read(lambda db: self._waiting.read_alarms(db, output, unknown, self._first_id_of_run))
            rows, _ = self._waiting.next_alarms(output, busy, after or {})
        return rows[:limit]

    def next_pictures(
        self,
        limit: int,
        *,
        output: str = DEFAULT_OUTPUT,
        excluding: Collection[int] = (),
        max_bytes: int | None = None,
    ) -> list[Row]:
        """An output's waiting images without the rows in `excluding`: those of the newest alarm first.

        `limit` at most, and no more than fit into `max_bytes`, but for the first. Newest first, since somebody may be
        looking at that alarm now, and since the oldest are dropped first for quota.
        """
        if limit <= 0:
            return []
        rows, unknown = self._waiting.next_pictures(output, limit, excluding, max_bytes)
        if unknown:
            self._read(lambda db: self._waiting.read_pictures(db, output))
            rows, _ = self._waiting.next_pictures(output, limit, excluding, max_bytes)
        return [filled for row in rows if (filled := self._filled(row)) is not None]

    def _filled(self, row: Row) -> Row | None:
        """The picture with its bytes; None where the disk has lost them."""
        if row.payload:
            return row
        if row.place is None:
            payload = self._read(lambda db: payload_of(db, row.id))
            return None if payload is None else replace(row, payload=payload)
        try:
            return replace(row, payload=self._segments.read(row.place))
        except Damaged as damage:
            self._lose(row, str(damage))
            return None

    def _lose(self, row: Row, why: str) -> None:
        """Counts a picture whose bytes are gone as dropped; one that was dropped while we looked is counted already."""

        def work(change: Transaction) -> int:
            lost = change.delete([row.id])
            count_up(change.db, "dropped_pictures", lost)
            return lost

        with self._writing:
            lost = self._change(work)
        if lost:
            self._warn_once("a picture is damaged on the disk", f"{row.part} of alarm {row.alarm} dropped: {why}")

    # Leaving

    def acknowledge(self, rows: Iterable[int]) -> None:
        """Deletes rows that the broker has; a row that is gone already is no error.

        Waits for no commit of another thread: then the rows are deleted with the next change (`leaving`). Not synced: a
        power cut may bring the rows back, and they are sent once more with the same id. Raises `Temporary`; the rows
        are not offered again, and wait to be deleted.
        """
        self._waiting.leave(rows)
        if self._writing.acquire(blocking=False):
            try:
                # Synced where it makes much room.
                self._change(lambda _: None, durable=self._segments.emptied >= WORTH_A_SYNC)
                if self._waiting.count() == 0:
                    self._recover()
            finally:
                self._writing.release()

    @property
    def leaving(self) -> bool:
        """Something acknowledged is not deleted yet; `acknowledge` tries again, with or without more rows."""
        return bool(self._waiting.leaving())

    def reject(self, row: Row, reason: str) -> None:
        """Moves a row that the broker will never take to the dead letters, counted and logged."""
        with self._writing:
            self._change(lambda change: change.bury(row, reason))
        log.error("dead letter: %s of alarm %s, sequence %d: %s", row.part, row.alarm, row.sequence, reason)

    def replace(self, row: Row, message: Message) -> None:
        """Puts `message` (a note) in the place of a picture that the broker has no room for."""
        with self._writing:
            self._change(lambda change: change.swap(row, message))

    def keep_outputs(self, outputs: Collection[str]) -> int:
        """Delete rows of outputs that are no longer configured; they would wait, and use the quota, for ever.

        Returns how many messages that were; the sequence numbers of alarms among them count as missing.
        """

        def work(change: Transaction) -> int:
            marks = ", ".join("?" * len(outputs))
            query = f"SELECT id FROM message WHERE output NOT IN ({marks})"
            orphans = [identity for (identity,) in change.db.execute(query, tuple(outputs)).fetchall()]
            return change.delete(orphans, missing=True)

        with self._writing:
            deleted = self._change(work)
        if deleted:
            self._incidents.append(f"{deleted} waiting messages of outputs that are no longer configured were dropped")
            log.warning("%s", self._incidents[-1])
        return deleted

    # How it stands

    def state(self) -> dict[str, bytes]:
        """The agent's state as it was accepted last: what `accept` and `save_state` stored, by key."""
        return dict(self._read(lambda db: db.execute("SELECT key, value FROM agent_state").fetchall()))

    def save_state(self, state: Mapping[str, bytes]) -> None:
        """Stores `state` durably, beside what is there under other keys."""
        with self._writing:
            self._change(lambda change: store_state(change.db, state))

    def counts(self) -> Counts:
        values, missing = self._read(counters)
        return Counts(
            waiting=self._waiting.count(),
            waiting_bytes=self._waiting.bytes,
            sequence=self._sequence,
            dropped_pictures=values["dropped_pictures"],
            dropped_alarms=values["dropped_alarms"],
            dead_letters=values["dead_letters"],
            omitted_pictures=values["omitted_pictures"],
            missing=missing,
        )

    def waiting(self, output: str | None = None) -> int:
        """Rows that wait, of one output or of all; touches no disk, and waits for none."""
        return self._waiting.count(output)

    def alarms_waiting(self, output: str | None = None) -> int:
        """Rows that wait and are no images, of one output or of all; touches no disk, and waits for none."""
        return self._waiting.alarms(output)

    def last_id(self) -> int:
        """The highest row id so far: a row above it was accepted later."""
        return self._waiting.last_id

    def incidents(self) -> list[str]:
        """What happened to the store since it was opened that somebody should know: one line each."""
        return list(self._incidents)

    def bytes_on_disk(self) -> int:
        """Size of the file, its log and the pictures beside it, bytes."""
        return self._database.bytes_on_disk() + self._segments.bytes_on_disk

    def close(self) -> None:
        with self._writing:
            if self.leaving:
                with suppress(InspectdError):
                    self._change(lambda _: None, durable=False)
            self._database.close()
            self._segments.close()
            self._hint.close()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._writing:
            return self._database.read(work)

    # Trouble, and its end

    def _warn_once(self, what: str, text: str) -> None:
        """Until all is delivered: a day without a broker is one line, and the counts are in `status`."""
        log.log(logging.DEBUG if what in self._told else logging.WARNING, "%s: %s", what, text)
        self._told.add(what)

    def _give_up_pictures(self) -> None:
        """On a full disk: frees the reserve and what the older half of the pictures take, for the alarms to come."""
        self._reserve.give_up()
        self._segments.give_up_spares()
        self._database.checkpoint()
        with suppress(DiskFull):
            self._change(give_up_pictures)
        self._segments.give_up_spares()
        self._database.checkpoint()
        self._database.shrink(keep_pages=0)
        self._database.checkpoint()
        self._reserve.keep()

    def _recover(self) -> None:
        """All is delivered: room is given back, and trouble is told of again."""
        self._database.shrink()
        self._reserve.keep()
        for what in sorted(self._told):
            log.info("%s no more: all that was kept is delivered", what)
        self._told.clear()

    # Opening

    def _load(self, db: sqlite3.Connection) -> None:
        self._waiting.load(db)
        (self._sequence,) = db.execute("SELECT value FROM counter WHERE name = 'sequence'").fetchone()
        self._segments.open(named_segments(db))

    def _begin(self, db: sqlite3.Connection, aside: Path | None) -> None:
        """Fills a new file: where an earlier one was lost, numbers go on behind a gap and standing alarms are saved."""
        sequence, state = salvage(aside) if aside is not None else (0, {})
        known = max(sequence, self._sequence, self._hint.read())
        start = known + SEQUENCE_JUMP if known > 0 or aside is not None else 0
        db.execute("INSERT INTO counter VALUES ('sequence', ?)", (start,))
        # A PUBACK for a row of the lost file must not delete a row of this one.
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (self._waiting.last_id,))
        store_state(db, state)
        self._waiting.clear()
        self._sequence = start
        if aside is not None:
            _, _, stamp = aside.name.rpartition(".")
            self._segments.set_aside(f".{stamp}")
            self._incidents.append(
                f"the outbox file was corrupt: set aside as {aside.name}; sequence numbers go on at {start + 1}"
            )
