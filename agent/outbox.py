"""Store and forward: what was accepted here is on the disk, and stays there until the broker acknowledged it.

One accepted alarm is one transaction: its sequence number, its messages and the agent's own state (which alarms stand)
are durable together before `accept` returns, or none of them is. A row leaves on `acknowledge`, never before. The quota
on disk is kept by dropping the oldest pictures, then the oldest alarms that are already cleared; every drop is counted.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from agent.database import Database, DiskFull
from agent.rows import (
    COLUMNS,
    COLUMNS_BUT_PAYLOAD,
    KEPT_DEAD_LETTERS,
    OLDEST_LONE_ENDS,
    OLDEST_PICTURES,
    OLDEST_WHOLE_ALARMS,
    ROW_BYTES,
    SCHEMA,
    Counts,
    Message,
    Row,
    cost_of,
    count_up,
    counters,
    salvage,
    store_state,
    trim_missing,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

DEFAULT_MAX_BYTES = 2 * 1024**3

# Where the true sequence number is lost with a corrupt file, the next one leaves a gap this wide, so that a subscriber
# sees that something is missing; the last number known lags by at most what one crash can lose.
SEQUENCE_JUMP = 1000

# Payloads kept in memory after they were accepted, bytes: those of a live alarm are on their way before anybody could
# want the memory back, and need not be read from the disk. 30 alarms with three pictures.
FRESH_BYTES = 8 * 1024 * 1024

# Kept free for the moment when the disk is full: the log fits into it, so that it can be moved into the database.
RESERVE_BYTES = 6 * 1024 * 1024


class Outbox:
    """The store. Any thread may call any method. Raises `Temporary` and `Permanent` only."""

    def __init__(self, path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        """Opens or begins the file; `max_bytes` bounds what waits in it.

        Raises `Permanent` where it cannot be opened or another process has it. A corrupt file is set aside, and told.
        """
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._hint = _Hint(path.with_name(path.name + ".sequence"))
        self._reserve = path.with_name(path.name + ".reserve")
        self._incidents: list[str] = []
        self._told: set[str] = set()
        self._last_id = 0
        self._waiting: Counter[str] = Counter()
        self._fresh: dict[int, bytes] = {}
        self._fresh_bytes = 0
        self._pictures = self._bytes = self._sequence = 0
        self._database = Database(path, SCHEMA, on_new_file=self._begin)
        self._database.transaction(self._load, durable=False)
        self._first_id_of_run = self._last_id + 1
        self._keep_reserve()
        self.on_accepted: Callable[[], None] | None = None
        """Called after every `accept`, on the caller's thread."""

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
        with self._lock:
            try:
                sequence = self._accept(camera, build, state or {}, captured_monotonic, with_pictures=True)
            except DiskFull:
                self._warn_once("the disk is full", "giving up waiting pictures to keep the alarms")
                self._give_up_pictures()
                sequence = self._accept(camera, build, state or {}, captured_monotonic, with_pictures=False)
        if self.on_accepted is not None:
            self.on_accepted()
        return sequence

    def state(self) -> dict[str, bytes]:
        """The agent's state as it was accepted last: what `accept` and `save_state` stored, by key."""
        return dict(self._database.read(lambda db: db.execute("SELECT key, value FROM agent_state").fetchall()))

    def save_state(self, state: Mapping[str, bytes]) -> None:
        """Stores `state` durably, beside what is there under other keys."""
        with self._lock:
            self._database.transaction(lambda db: store_state(db, state))

    def next_alarms(
        self, limit: int, *, busy: Collection[str] = (), after: Mapping[str, int] | None = None
    ) -> list[Row]:
        """The oldest waiting alarm message of each camera that is not `busy`, oldest first, `limit` at most.

        `after`: by camera, the highest row id that needs no looking at, being with the broker already.
        """
        skip = after or {}
        with self._lock:
            cameras = [camera for camera, count in self._waiting.items() if count > 0 and camera not in busy]
            if limit <= 0 or not cameras:
                return []
            query = "SELECT id FROM message WHERE picture = 0 AND camera = ? AND id > ? ORDER BY id LIMIT 1"

            def oldest(db: sqlite3.Connection) -> list[Row]:
                found = [db.execute(query, (camera, skip.get(camera, 0))).fetchone() for camera in cameras]
                return self._rows(db, sorted(identity for (identity,) in filter(None, found))[:limit])

            return self._database.read(oldest)

    def next_pictures(self, limit: int, *, excluding: Collection[int] = (), max_bytes: int | None = None) -> list[Row]:
        """Waiting pictures without the rows in `excluding`: those of the newest alarm first.

        `limit` at most, and no more than fit into `max_bytes`, but for the first. Newest first, since somebody may be
        looking at that alarm now, and since the oldest are dropped first for quota.
        """
        with self._lock:
            if limit <= 0 or self._pictures == 0:
                return []
            return self._database.read(lambda db: self._pick_pictures(db, limit, excluding, max_bytes))

    def _pick_pictures(
        self, db: sqlite3.Connection, limit: int, excluding: Collection[int], max_bytes: int | None
    ) -> list[Row]:
        """First the keys, then the payloads of those that are wanted: payloads are what costs."""
        marks = ", ".join("?" * len(excluding))
        query = (
            f"SELECT id, cost FROM message WHERE picture = 1 AND id NOT IN ({marks}) ORDER BY sequence DESC, id LIMIT ?"
        )
        chosen: list[int] = []
        total = 0
        for identity, cost in db.execute(query, (*excluding, limit)).fetchall():
            total += cost
            if chosen and max_bytes is not None and total > max_bytes:
                break
            chosen.append(identity)
        return self._rows(db, chosen)

    def acknowledge(self, rows: Iterable[int]) -> None:
        """Deletes rows that the broker has; a row that is gone already is no error.

        Not synced: a power cut may bring the rows back, and they are sent once more with the same id.
        """
        identities = list(rows)
        with self._lock:
            self._change(lambda db: self._delete(db, identities), durable=False)
            if self._count() == 0:
                self._recover()

    def reject(self, row: Row, reason: str) -> None:
        """Moves a row that the broker will never take to the dead letters, counted and logged."""
        with self._lock:
            self._change(lambda db: self._bury(db, row, reason))
        log.error("dead letter: %s of alarm %s, sequence %d: %s", row.part, row.alarm, row.sequence, reason)

    def replace(self, row: Row, message: Message) -> None:
        """Puts `message` (a note) in the place of a picture that the broker has no room for."""
        cost = cost_of(message)
        with self._lock:
            self._change(lambda db: self._swap(db, row, message, cost))

    def counts(self) -> Counts:
        with self._lock:
            values, missing = self._database.read(counters)
            return Counts(
                waiting=self._count(),
                waiting_bytes=self._bytes,
                sequence=self._sequence,
                dropped_pictures=values["dropped_pictures"],
                dropped_alarms=values["dropped_alarms"],
                dead_letters=values["dead_letters"],
                omitted_pictures=values["omitted_pictures"],
                missing=missing,
            )

    def waiting(self) -> int:
        """Rows that wait; touches no disk."""
        with self._lock:
            return self._count()

    def alarms_waiting(self) -> int:
        """Rows that wait and are no pictures; touches no disk."""
        with self._lock:
            return sum(self._waiting.values())

    def last_id(self) -> int:
        """The highest row id so far: a row above it was accepted later."""
        with self._lock:
            return self._last_id

    def incidents(self) -> list[str]:
        """What happened to the store since it was opened that somebody should know: one line each."""
        with self._lock:
            return list(self._incidents)

    def bytes_on_disk(self) -> int:
        """Size of the file and its log, bytes."""
        return self._database.bytes_on_disk()

    def close(self) -> None:
        with self._lock:
            self._database.close()
            self._hint.close()

    # Accepting

    def _accept(
        self,
        camera: str,
        build: Callable[[int], Sequence[Message]],
        state: Mapping[str, bytes],
        captured: float | None,
        *,
        with_pictures: bool,
    ) -> int:
        def work(db: sqlite3.Connection) -> int:
            # Read here: where the file turns out to be corrupt, this runs again in a new one, behind the gap.
            sequence = self._sequence + 1
            messages = build(sequence)
            kept = self._fitting(messages) if with_pictures else [m for m in messages if not m.picture]
            count_up(db, "dropped_pictures", len(messages) - len(kept))
            self._make_room(db, sum(map(cost_of, kept)))
            self._insert(db, sequence, camera, kept, captured)
            store_state(db, state)
            db.execute("INSERT OR REPLACE INTO counter VALUES ('sequence', ?)", (sequence,))
            return sequence

        self._sequence = sequence = self._change(work)
        self._hint.write(sequence)
        return sequence

    def _change(self, work: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Runs `work`; where it fails, what we know of the table is read again, since it was undone there."""
        try:
            return self._database.transaction(work, durable=durable)
        except BaseException:
            self._forget_fresh()
            with suppress(Exception):
                self._database.transaction(self._load, durable=False)
            raise

    def _fitting(self, messages: Sequence[Message]) -> list[Message]:
        """The messages without those pictures that the whole quota could not hold beside the rest."""
        kept = [message for message in messages if not message.picture]
        room = self._max_bytes - sum(map(cost_of, kept))
        for message in messages:
            if message.picture and cost_of(message) <= room:
                room -= cost_of(message)
                kept.append(message)
        return kept

    def _insert(
        self, db: sqlite3.Connection, sequence: int, camera: str, messages: Sequence[Message], captured: float | None
    ) -> None:
        for m in messages:
            cursor = db.execute(
                f"INSERT INTO message ({COLUMNS}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (sequence, camera, m.alarm, m.part, m.picture, m.topic, m.media_type, cost_of(m), captured, m.payload),
            )
            self._last_id = cursor.lastrowid or self._last_id
            self._note(camera, m.picture, 1, cost_of(m))
            if self._fresh_bytes + len(m.payload) <= FRESH_BYTES:
                self._fresh[self._last_id] = m.payload
                self._fresh_bytes += len(m.payload)

    def _forget_fresh(self, identity: int | None = None) -> None:
        """What is in memory of one row, or of all."""
        if identity is None:
            self._fresh.clear()
            self._fresh_bytes = 0
        else:
            self._fresh_bytes -= len(self._fresh.pop(identity, b""))

    def _note(self, camera: str, picture: bool, rows: int, cost: int) -> None:
        self._bytes += cost
        if picture:
            self._pictures += rows
        else:
            self._waiting[camera] += rows

    def _count(self) -> int:
        return self._pictures + sum(self._waiting.values())

    # Keeping the quota

    def _make_room(self, db: sqlite3.Connection, needed: int) -> None:
        if self._bytes + needed <= self._max_bytes:
            return
        # A little more than needed, so that a full outbox does not do this for every alarm.
        limit = self._max_bytes - needed - self._max_bytes // 100
        pictures = self._drop(db, limit, OLDEST_PICTURES)
        # An alarm whose raised message waits too was never heard of: nobody misses its end. Those go before lone ends.
        alarms = self._drop(db, limit, OLDEST_WHOLE_ALARMS)
        alarms += self._drop(db, limit, OLDEST_LONE_ENDS)
        count_up(db, "dropped_pictures", pictures)
        count_up(db, "dropped_alarms", alarms)
        if pictures or alarms:
            what = f"{pictures} pictures and {alarms} messages of cleared alarms"
            self._warn_once("the outbox is full", f"{self._max_bytes} bytes; dropped {what}")

    def _warn_once(self, what: str, text: str) -> None:
        """Until all is delivered: a day without a broker is one line, and the counts are in `status`."""
        log.log(logging.DEBUG if what in self._told else logging.WARNING, "%s: %s", what, text)
        self._told.add(what)

    def _drop(self, db: sqlite3.Connection, limit: int, query: str) -> int:
        """Deletes what `query` finds, group by group, until no more than `limit` bytes wait."""
        dropped = 0
        while self._bytes > limit:
            groups = db.execute(query).fetchall()
            if not groups:
                break
            for group in groups:
                if self._bytes > limit:
                    dropped += self._delete(db, [row for row in group if row is not None], missing=True)
        trim_missing(db)
        return dropped

    def _give_up_pictures(self) -> None:
        """On a full disk: frees the reserve and the pages of the older half of the pictures, for the alarms to come."""
        with suppress(OSError):
            self._reserve.unlink()
        self._database.checkpoint()

        def work(db: sqlite3.Connection) -> None:
            query = "SELECT id FROM message WHERE picture = 1 ORDER BY sequence, id LIMIT ?"
            rows = [row for (row,) in db.execute(query, (self._pictures // 2 + 1,))]
            count_up(db, "dropped_pictures", self._delete(db, rows))

        with suppress(DiskFull):
            self._change(work)
        self._database.checkpoint()
        self._database.shrink(keep_pages=0)
        self._database.checkpoint()
        self._keep_reserve()

    def _recover(self) -> None:
        """All is delivered: room is given back, and trouble is told of again."""
        self._database.shrink()
        self._keep_reserve()
        for what in sorted(self._told):
            log.info("%s no more: all that was kept is delivered", what)
        self._told.clear()

    def _keep_reserve(self) -> None:
        """Room that a full disk leaves us: without it, not even a deletion could be written."""
        if not self._reserve.exists():
            try:
                self._reserve.write_bytes(bytes(RESERVE_BYTES))
            except OSError:
                self._reserve.unlink(missing_ok=True)

    # Leaving

    def _delete(self, db: sqlite3.Connection, rows: Sequence[int], *, missing: bool = False) -> int:
        """Deletes rows, returns how many there were; `missing` notes the sequence numbers of alarms among them."""
        deleted = 0
        for identity in rows:
            found = db.execute(
                "DELETE FROM message WHERE id = ? RETURNING camera, picture, cost, sequence", (identity,)
            ).fetchone()
            if found is not None:
                camera, picture, cost, sequence = found
                deleted += 1
                self._forget_fresh(identity)
                self._note(camera, bool(picture), -1, -cost)
                if missing and not picture:
                    db.execute("INSERT OR IGNORE INTO missing VALUES (?)", (sequence,))
        return deleted

    def _bury(self, db: sqlite3.Connection, row: Row, reason: str) -> None:
        if self._delete(db, [row.id], missing=True) == 0:
            return
        at = datetime.now(timezone.utc).isoformat()
        trim_missing(db)
        payload = None if row.picture else row.payload
        db.execute(
            "INSERT INTO dead_letter (at, sequence, topic, reason, payload) VALUES (?, ?, ?, ?, ?)",
            (at, row.sequence, row.topic, reason, payload),
        )
        db.execute("DELETE FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?", (KEPT_DEAD_LETTERS,))
        count_up(db, "dead_letters", 1)

    def _swap(self, db: sqlite3.Connection, row: Row, message: Message, cost: int) -> None:
        changed = db.execute(
            "UPDATE message SET part = ?, topic = ?, media_type = ?, cost = ?, payload = ? WHERE id = ?",
            (message.part, message.topic, message.media_type, cost, message.payload, row.id),
        ).rowcount
        self._forget_fresh(row.id)
        if changed:
            self._bytes += cost - row.cost
            count_up(db, "omitted_pictures", 1)

    # Opening

    def _load(self, db: sqlite3.Connection) -> None:
        """Reads what waits; runs at the start and after a transaction was undone."""
        self._forget_fresh()
        self._waiting = Counter(
            dict(db.execute("SELECT camera, count(*) FROM message WHERE picture = 0 GROUP BY camera").fetchall())
        )
        (self._pictures,) = db.execute("SELECT count(*) FROM message WHERE picture = 1").fetchone()
        (self._bytes,) = db.execute("SELECT coalesce(sum(cost), 0) FROM message").fetchone()
        (self._sequence,) = db.execute("SELECT value FROM counter WHERE name = 'sequence'").fetchone()
        (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        self._last_id = max(self._last_id, last)

    def _begin(self, db: sqlite3.Connection, aside: Path | None) -> None:
        """Fills a new file: where an earlier one was lost, numbers go on behind a gap and standing alarms are saved."""
        sequence, state = salvage(aside) if aside is not None else (0, {})
        known = max(sequence, self._sequence, self._hint.read())
        start = known + SEQUENCE_JUMP if known > 0 or aside is not None else 0
        db.execute("INSERT INTO counter VALUES ('sequence', ?)", (start,))
        # A PUBACK for a row of the lost file must not delete a row of this one.
        db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('message', ?)", (self._last_id,))
        store_state(db, state)
        self._waiting.clear()
        self._forget_fresh()
        self._pictures = self._bytes = 0
        self._sequence = start
        if aside is not None:
            self._incidents.append(
                f"the outbox file was corrupt: set aside as {aside.name}; sequence numbers go on at {start + 1}"
            )

    def _rows(self, db: sqlite3.Connection, identities: Sequence[int]) -> list[Row]:
        """The rows of these ids, in their order; a payload that is still in memory is not read again."""
        return [self._row(db, identity, self._fresh.get(identity)) for identity in identities]

    def _row(self, db: sqlite3.Connection, identity: int, fresh: bytes | None) -> Row:
        columns = COLUMNS_BUT_PAYLOAD if fresh is not None else COLUMNS
        found = db.execute(f"SELECT {columns} FROM message WHERE id = ?", (identity,)).fetchone()
        _, sequence, camera, alarm, part, picture, topic, media_type, cost, captured, *payload = found
        captured = captured if identity >= self._first_id_of_run else None
        content = fresh if fresh is not None else bytes(payload[0])
        return Row(identity, sequence, camera, alarm, part, bool(picture), topic, media_type, cost, captured, content)


class _Hint:
    """The last sequence number in a file of its own: not synced, and allowed to fail.

    It matters only once the database is lost. The file stays open, since opening it would cost more than the rest of
    an accept's own work does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> int:
        try:
            return int(self._path.read_text().strip() or 0)
        except (OSError, ValueError):
            return 0

    def write(self, sequence: int) -> None:
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            # Of one length, so that nothing of an earlier number is left behind it.
            os.pwrite(self._descriptor, b"%020d\n" % sequence, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


__all__ = ["ROW_BYTES", "Counts", "Message", "Outbox", "Row"]
