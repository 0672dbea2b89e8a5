"""The pictures of the outbox: bytes in a few files that are written from front to back and used again.

SQLite would write every picture twice, once to its log and once to its file. Here it is written once, and is durable
before the commit that names it: a row says where its picture lies (segment, offset, length) and what it sums up to.
Only what a row names is a picture. A write that a power cut tore is named by none, and the next one goes over it.

A segment whose rows are all gone is written again from its start, once their deletion is durable: a row that a power
cut brings back still finds its picture. Overwriting spares the file system the allocation that growing a file costs.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.errors import Temporary
from agent.outputs.outbox.database import DiskFull

log = logging.getLogger(__name__)

# A segment is closed at this size. Large enough that new files are rare, small enough that little is left lying where
# one picture of it stays; a small quota has smaller ones.
MAX_SEGMENT_BYTES = 8 * 1024 * 1024
MIN_SEGMENT_BYTES = 64 * 1024
SEGMENTS_OF_QUOTA = 32

# Empty segments kept to be written again. Synced to the disk of the benchmark, 2 MB took 11.5 ms at the end of a
# growing file and 3.8 ms over old bytes.
KEPT_SPARES = 4

# Spares are made beforehand only on a disk that has this many times their size free.
SPARE_PART_OF_DISK = 20

# Segments that are empty but for deletions not synced yet: from so many on, a sync is worth the room that it frees.
WORTH_A_SYNC = 2

# Every write begins on a page of its own: one that is torn damages no page that was promised before.
PAGE_BYTES = 4096

# Bytes that are handed at a time to a thread that writes them while the rest of a group is put together: of alarms in
# groups of sixteen 4,400 a second were durable, and 2,500 and 3,600 where the thread had to wait for the whole group.
# Handing over 265 kB, one alarm, and waiting for it took as long as writing them beside.
WORTH_A_THREAD = 1024 * 1024

_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_NAME = re.compile(r"segment-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a picture lies."""

    segment: int
    offset: int
    """Bytes from the start of the segment."""
    length: int
    """Bytes."""
    checksum: int
    """CRC-32 of the picture."""


class Damaged(Exception):
    """The bytes at a place are not those that were put there."""


class ImageFiles:
    """The files, for one writer: `put` what belongs to a transaction, `begin_sync` where there is something to do
    meanwhile, `sync`, commit, then `committed`; or `undo`. Much is written from the first `put` on, beside the caller.

    Any thread may `read`. Raises `Temporary`; `DiskFull` where there is no room.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """`max_bytes`: the quota that the pictures are held to; the size of a segment goes by it. Touches no disk."""
        self.directory = directory
        self._segment_bytes = min(max(max_bytes // SEGMENTS_OF_QUOTA, MIN_SEGMENT_BYTES), MAX_SEGMENT_BYTES)
        self._descriptor: int | None = None
        self._writer: ThreadPoolExecutor | None = None
        """Made with the first write that is worth a thread."""
        self._writing: list[Future[None]] = []
        """What the thread was given since the last `sync`."""
        self._syncing = False
        """It was also told to make all of that durable."""
        self._reset()

    def _reset(self) -> None:
        self._current: int | None = None
        self._begin = self._end = 0
        """What was `put` since the last `sync` lies between them."""
        self._unwritten: list[bytes] = []
        self._written = 0
        """Where the unwritten bytes belong: what is before is written, or the thread has it."""
        self._rows: Counter[int] = Counter()
        self._sizes: dict[int, int] = {}
        self._spares: list[int] = []
        self._emptied: list[int] = []
        self._new = False

    def open(self, rows: Mapping[int, tuple[int, int]]) -> None:
        """Begins with what is on the disk; `rows`: by segment, how many rows name it, and where the last of them ends.

        The one with the most room goes on behind what is named there. Segments that nothing names are spares.
        """
        self._let_go()
        try:
            self._sizes = {number: path.stat().st_size for number, path in self._files()}
        except OSError as error:
            raise self._explained(error) from error
        self._rows = Counter({number: count for number, (count, _) in rows.items()})
        self._spares = sorted(set(self._sizes) - set(rows))
        self._drop_spares(KEPT_SPARES)
        self._prepare_spares()
        ends = {number: end for number, (_, end) in rows.items() if number in self._sizes}
        if ends:
            emptiest = min(ends, key=lambda number: ends[number])
            self._turn_to(emptiest, _page_after(ends[emptiest]))

    def _files(self) -> list[tuple[int, Path]]:
        found = self.directory.iterdir() if self.directory.is_dir() else iter(())
        return [(int(name[1]), path) for path in found if (name := _NAME.fullmatch(path.name))]

    def _prepare_spares(self) -> None:
        """Writes spares full of zeros, once in the life of an outbox, where the disk has plenty of room."""
        missing = KEPT_SPARES - len(self._spares)
        with suppress(OSError):
            if missing <= 0 or _free_bytes(self.directory.parent) < SPARE_PART_OF_DISK * missing * self._segment_bytes:
                return
            self.directory.mkdir(exist_ok=True)
            for _ in range(missing):
                number = max([0, *self._sizes, *self._rows]) + 1
                self._sizes[number] = 0
                self._spares.append(number)
                with self._path(number).open("wb") as file:
                    file.write(bytes(self._segment_bytes))
                    file.flush()
                    # Now, or the first alarm would wait for it.
                    os.fdatasync(file.fileno())
                self._sizes[number] = self._segment_bytes
            self._sync_directory()

    # Writing

    def put(self, payload: bytes) -> Place:
        """The place that the picture will have once `sync` returned; until then nobody can rely on it."""
        if self._end == self._begin:
            self._find_room()
            self._begin = self._written = self._end
        place = Place(self._current or 0, self._end, len(payload), zlib.crc32(payload))
        self._unwritten.append(payload)
        self._syncing = False
        self._end += len(payload)
        if self._end - self._written >= WORTH_A_THREAD:
            self._hand_over(durable=False)
        return place

    def begin_sync(self) -> None:
        """Begins to make much of it durable, beside what the caller does until `sync`; a little waits for `sync`."""
        if self._writing and not self._syncing:
            self._hand_over(durable=True)
            self._syncing = True

    def sync(self) -> None:
        """Writes what was `put`; it is durable when this returns."""
        if self._end == self._begin or self._current is None:
            return
        self.begin_sync()
        try:
            if not self._writing:
                self._write(self._take(), durable=True)
            for write in self._writing:
                write.result()
        except OSError as error:
            self._give_back(self._current)
            raise self._explained(error) from error
        self._writing.clear()
        self._new = False
        self._sizes[self._current] = max(self._sizes.get(self._current, 0), self._end)
        self._begin = self._end = _page_after(self._end)

    def undo(self) -> None:
        """The transaction failed: what it `put` is no picture, and the next one goes over it."""
        if self._writing and self._current is not None:
            self._give_back(self._current)
        self._unwritten.clear()
        self._end = self._begin

    def _hand_over(self, *, durable: bool) -> None:
        self._writer = self._writer or ThreadPoolExecutor(1, thread_name_prefix="pictures")
        self._writing.append(self._writer.submit(self._write, self._take(), durable=durable))

    def _take(self) -> tuple[int, list[bytes]]:
        """What is not written yet, and where it belongs; now it is whoever asked that writes it."""
        taken = self._written, self._unwritten
        self._written, self._unwritten = self._end, []
        return taken

    def _write(self, what: tuple[int, list[bytes]], *, durable: bool) -> None:
        assert self._current is not None
        offset, payloads = what
        descriptor = self._open_current(self._current)
        _write_all(descriptor, payloads, offset)
        if durable:
            os.fdatasync(descriptor)
            if self._new:
                self._sync_directory()

    def committed(self, added: Iterable[Place], removed: Iterable[Place], *, durable: bool) -> None:
        """The transaction is committed; where it is `durable`, so is every one before it, and their room is free."""
        self._rows.update(place.segment for place in added)
        for place in removed:
            self._rows[place.segment] -= 1
            if self._rows[place.segment] <= 0:
                del self._rows[place.segment]
                self._emptied.append(place.segment)
        if self._current in self._emptied:
            self._let_go()
        if durable and self._emptied:
            # One that was emptied and filled again in the same transaction is in use.
            self._spares += [number for number in dict.fromkeys(self._emptied) if number not in self._rows]
            self._emptied.clear()
            self._drop_spares(KEPT_SPARES)

    @property
    def emptied(self) -> int:
        """Segments whose room is free with the next durable commit."""
        return len(self._emptied)

    def give_up_spares(self) -> None:
        """The disk is full: nothing is kept for later."""
        self._drop_spares(0)

    # Reading

    def read(self, place: Place) -> bytes:
        """The picture at `place`. Raises `Damaged`: torn, overwritten, gone, or not readable."""
        try:
            with self._path(place.segment).open("rb", buffering=0) as file:
                payload = os.pread(file.fileno(), place.length, place.offset)
        except OSError as error:
            raise Damaged(f"{self._path(place.segment).name}: {error.strerror}") from error
        if len(payload) != place.length or zlib.crc32(payload) != place.checksum:
            raise Damaged(f"{self._path(place.segment).name} at {place.offset}: checksum or length does not match")
        return payload

    @property
    def bytes_on_disk(self) -> int:
        """Of all segments, spares included."""
        return sum(list(self._sizes.values()))

    @property
    def bytes_in_use(self) -> int:
        """Of those segments that rows name."""
        return sum(self._sizes.get(number, 0) for number in self._rows)

    @property
    def segment_bytes(self) -> int:
        """The size at which a segment is closed."""
        return self._segment_bytes

    # Ending

    def set_aside(self, suffix: str) -> None:
        """Renames the directory: the database that says what lies where was lost. Begins with nothing."""
        self._let_go()
        if self.directory.exists():
            with suppress(OSError):
                self.directory.rename(self.directory.with_name(self.directory.name + suffix))
        self._reset()

    def close(self) -> None:
        self._let_go()
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None

    def _let_go(self) -> None:
        # A descriptor that is closed under a write would let it go to whatever file is opened next.
        wait(self._writing)
        self._writing.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._current = None
        self._begin = self._end = 0

    def _turn_to(self, number: int, end: int) -> None:
        if self._current is not None and self._current not in self._rows:
            self._emptied.append(self._current)
        self._let_go()
        self._current, self._begin, self._end = number, end, end

    def _find_room(self) -> None:
        """Makes sure that there is a current segment that takes another write."""
        if self._current is not None and self._end < self._segment_bytes:
            return
        if self._spares:
            self._turn_to(self._spares.pop(), 0)
        else:
            self._turn_to(max([0, *self._sizes]) + 1, 0)

    def _open_current(self, number: int) -> int:
        if self._descriptor is None:
            self._new = not self._path(number).exists()
            self.directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._sizes.setdefault(number, 0)
        return self._descriptor

    def _give_back(self, number: int) -> None:
        """What a failed write has added to the file is given back: the disk may be full."""
        wait(self._writing)
        self._writing.clear()
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._sizes[number])

    def _sync_directory(self) -> None:
        """The name of a new file is durable only once the directory is, and that of a new directory with its own."""
        for directory in (self.directory, self.directory.parent):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _drop_spares(self, keep: int) -> None:
        """Deletes the spares beyond `keep`, the highest numbers first; large ones go in any case."""
        large = {number for number in self._spares if self._sizes.get(number, 0) > 2 * self._segment_bytes}
        self._spares.sort(key=lambda number: (number in large, number))
        while self._spares and (len(self._spares) > keep or self._spares[-1] in large):
            number = self._spares.pop()
            try:
                self._path(number).unlink(missing_ok=True)
            except OSError as error:
                log.debug("%s: %s", self._path(number), error)
            self._sizes.pop(number, None)

    def _path(self, number: int) -> Path:
        return self.directory / f"segment-{number:06}"

    def _explained(self, error: OSError) -> Temporary:
        if error.errno in _FULL:
            return DiskFull(f"{self.directory}: the disk is full; free some space on {self.directory.parent}")
        if error.errno in _READ_ONLY:
            return Temporary(f"{self.directory} cannot be written: the disk or the file is read-only")
        return Temporary(f"{self.directory}: {error.strerror}")


def _write_all(descriptor: int, payloads: list[bytes], offset: int) -> None:
    """Writes them one behind the other; a disk that takes only a part is asked again, and then says why."""
    left = [memoryview(payload) for payload in payloads if payload]
    while left:
        # 1024: IOV_MAX of Linux.
        written = os.pwritev(descriptor, left[:1024], offset)
        offset += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


def _page_after(offset: int) -> int:
    return -(-offset // PAGE_BYTES) * PAGE_BYTES
