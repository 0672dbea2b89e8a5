"""The images of the outbox: bytes in a few segment files that are written from front to back and reused.

SQLite would write every image twice, to its log and to its file. Here it is written once, and is durable before the
commit that refers to it: the row holds segment, offset, length and checksum. Bytes that no row refers to are free. If a
power cut tears a write, no row refers to it, and the next write overwrites it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from agent.outputs.outbox.segments import Location, Segments, explain_os_error

# Every write starts on a new page: a torn write cannot damage a page that was made durable earlier.
PAGE_BYTES = 4096

# Bytes that are passed at a time to a thread, which writes them while the rest of a group is built: 4,400 alarms a
# second were durable in groups of sixteen, and 2,500 and 3,600 where the thread got a whole group at once. For one
# alarm, 265 kB, passing it to the thread and waiting took as long as writing it directly.
BACKGROUND_WRITE_BYTES = 1024 * 1024


class DamagedImage(Exception):
    """The bytes at a location are not those that were written there."""


class ImageFiles:
    """Stores images for one writer; any thread may `read`.

    For each transaction: `put` its images, `sync` (or `begin_sync` first, if there is other work to do meanwhile),
    commit the rows, then `committed`; or `discard`. A large amount is written by a second thread from the first `put`
    on. Raises `Temporary`; `DiskFull` if there is no room.
    """

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        """`max_bytes`: quota of the images, from which the size of a segment follows. Touches no disk."""
        self.directory = directory
        self._segments = Segments(directory, max_bytes)
        self._descriptor: int | None = None
        self._writer: ThreadPoolExecutor | None = None
        """Created for the first write that is worth a thread."""
        self._writes: list[Future[None]] = []
        """What the thread got since the last `sync`."""
        self._syncing = False
        """The thread was also asked to make all of that durable."""
        self._reset()

    def _reset(self) -> None:
        self._current: int | None = None
        self._begin = self._end = 0
        """The range of the current segment that was `put` since the last `sync`."""
        self._unwritten: list[bytes] = []
        self._written = 0
        """Where the unwritten bytes belong: everything before is written, or the thread has it."""
        self._is_new = False
        """The current file was created since the last `sync`."""

    def open(self, rows: Mapping[int, tuple[int, int]]) -> None:
        """Start with the files on the disk.

        Writing continues in the segment with the most room. Segments without rows are reused.

        Args:
            rows: by segment, how many rows refer to it, and where the last of their images ends, bytes.
        """
        self._close_segment()
        self._segments.scan(rows)
        ends = {number: end for number, (_, end) in rows.items() if self._segments.exists(number)}
        if ends:
            emptiest = min(ends, key=lambda number: ends[number])
            self._switch_to(emptiest, _page_after(ends[emptiest]))

    # Writing

    def put(self, payload: bytes) -> Location:
        """Where the image will be once `sync` has returned; until then it may be lost."""
        if self._end == self._begin:
            self._find_room()
            self._begin = self._written = self._end
        location = Location(self._current or 0, self._end, len(payload), zlib.crc32(payload))
        self._unwritten.append(payload)
        self._syncing = False
        self._end += len(payload)
        if self._end - self._written >= BACKGROUND_WRITE_BYTES:
            self._write_in_background(durable=False)
        return location

    def begin_sync(self) -> None:
        """Start to make a large amount durable while the caller continues; a small one is left to `sync`."""
        if self._writes and not self._syncing:
            self._write_in_background(durable=True)
            self._syncing = True

    def sync(self) -> None:
        """Write what was `put`; it is durable when this returns."""
        if self._end == self._begin or self._current is None:
            return
        self.begin_sync()
        try:
            if not self._writes:
                self._write(self._take_unwritten(), durable=True)
            for write in self._writes:
                write.result()
        except OSError as error:
            self._truncate(self._current)
            raise explain_os_error(error, self.directory) from error
        self._writes.clear()
        self._is_new = False
        self._segments.grown(self._current, self._end)
        self._begin = self._end = _page_after(self._end)

    def discard(self) -> None:
        """The transaction failed: what it `put` is free again, and the next write overwrites it."""
        if self._writes and self._current is not None:
            self._truncate(self._current)
        self._unwritten.clear()
        self._end = self._begin

    def committed(self, added: Iterable[Location], removed: Iterable[Location], *, durable: bool) -> None:
        """The transaction is committed. If `durable`, so is every earlier one, and what they removed is free."""
        self._segments.committed(added, removed)
        if self._segments.is_emptied(self._current):
            self._close_segment()
        if durable:
            self._segments.free_emptied()

    def _write_in_background(self, *, durable: bool) -> None:
        self._writer = self._writer or ThreadPoolExecutor(1, thread_name_prefix="images")
        self._writes.append(self._writer.submit(self._write, self._take_unwritten(), durable=durable))

    def _take_unwritten(self) -> tuple[int, list[bytes]]:
        """The bytes that are not written yet, and their offset; the caller has to write them."""
        taken = self._written, self._unwritten
        self._written, self._unwritten = self._end, []
        return taken

    def _write(self, bytes_at: tuple[int, list[bytes]], *, durable: bool) -> None:
        assert self._current is not None
        offset, payloads = bytes_at
        descriptor = self._open_current(self._current)
        _write_all(descriptor, payloads, offset)
        if durable:
            os.fdatasync(descriptor)
            if self._is_new:
                self._segments.sync_directory()

    def _open_current(self, number: int) -> int:
        if self._descriptor is None:
            path = self._segments.path(number)
            self._is_new = not path.exists()
            self.directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._segments.created(number)
        return self._descriptor

    def _truncate(self, number: int) -> None:
        """Cut off what a failed write added to the file: the disk may be full."""
        wait(self._writes)
        self._writes.clear()
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._segments.size(number))

    # The current segment

    def _find_room(self) -> None:
        """Make sure that the current segment can take another write."""
        if self._current is None or self._end >= self._segments.segment_bytes:
            self._switch_to(self._segments.take(), 0)

    def _switch_to(self, number: int, end: int) -> None:
        if self._current is not None:
            self._segments.closed(self._current)
        self._close_segment()
        self._current, self._begin, self._end = number, end, end

    def _close_segment(self) -> None:
        # A descriptor closed during a write would send that write to whatever file is opened next.
        wait(self._writes)
        self._writes.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._current = None
        self._begin = self._end = 0

    # Reading

    def read(self, location: Location) -> bytes:
        """The image at `location`. Raises `DamagedImage` if it is torn, overwritten, missing or unreadable."""
        path = self._segments.path(location.segment)
        try:
            with path.open("rb", buffering=0) as file:
                payload = os.pread(file.fileno(), location.length, location.offset)
        except OSError as error:
            raise DamagedImage(f"{path.name}: {error.strerror}") from error
        if len(payload) != location.length or zlib.crc32(payload) != location.checksum:
            raise DamagedImage(f"{path.name} at {location.offset}: checksum or length does not match")
        return payload

    # Sizes

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments, including those kept for reuse."""
        return self._segments.bytes_on_disk

    @property
    def bytes_in_use(self) -> int:
        """Size of the segments that rows refer to."""
        return self._segments.bytes_in_use

    @property
    def segment_bytes(self) -> int:
        """Size at which a segment is closed."""
        return self._segments.segment_bytes

    @property
    def emptied(self) -> int:
        """Number of segments that the next durable commit frees."""
        return self._segments.emptied

    def delete_spares(self) -> None:
        """The disk is full: keep no segments for reuse."""
        self._segments.delete_spares(0)

    # Closing

    def set_aside(self, suffix: str) -> None:
        """Rename the directory, since the database that describes it is lost, and start with an empty one."""
        self._close_segment()
        if self.directory.exists():
            with suppress(OSError):
                self.directory.rename(self.directory.with_name(self.directory.name + suffix))
        self._segments.clear()
        self._reset()

    def close(self) -> None:
        self._close_segment()
        if self._writer is not None:
            self._writer.shutdown()
            self._writer = None


def _write_all(descriptor: int, payloads: list[bytes], offset: int) -> None:
    """Write them one after the other. After a partial write the rest is tried again, which raises the reason."""
    left = [memoryview(payload) for payload in payloads if payload]
    while left:
        # 1024: IOV_MAX of Linux.
        written = os.pwritev(descriptor, left[:1024], offset)
        offset += written
        while left and written >= len(left[0]):
            written -= len(left.pop(0))
        if left:
            left[0] = left[0][written:]


def _page_after(offset: int) -> int:
    return -(-offset // PAGE_BYTES) * PAGE_BYTES
