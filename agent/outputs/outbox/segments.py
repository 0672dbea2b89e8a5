"""Which segment files exist, how long they are, how many rows refer to each, and which may be overwritten.

A segment is reused from its start once no row refers to it and the deletion of those rows is durable: a row that a
power cut restores still finds its image. Overwriting saves the file system the allocation that growing a file costs.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent.core.durable_file import disk_reason, is_disk_full
from agent.core.errors import Temporary
from agent.outputs.outbox.database import DiskFull

log = logging.getLogger(__name__)

# A segment is closed at this size. Large enough that new files are rare, small enough that little space is wasted while
# one image of it is left; a small quota has smaller segments.
MAX_SEGMENT_BYTES = 8 * 1024 * 1024
MIN_SEGMENT_BYTES = 64 * 1024
SEGMENTS_OF_QUOTA = 32

# Empty segments kept for reuse. Synced to the disk of the benchmark, 2 MB took 11.5 ms at the end of a growing file and
# 3.8 ms over old bytes.
KEPT_SPARES = 4

# Spares are prepared in advance only on a disk with this many times their size free.
SPARE_PART_OF_DISK = 20

_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
_NAME = re.compile(r"segment-(\d{6,})")


@dataclass(frozen=True, slots=True)
class Location:
    """Where an image is stored."""

    segment: int
    offset: int
    """Bytes from the start of the segment."""
    length: int
    """Bytes."""
    checksum: int
    """CRC-32 of the image."""


class Segments:
    """Keeps count of the segment files in one directory; does not write images. One thread at a time."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        """`max_bytes`: quota of the images, from which the size of a segment follows. Touches no disk."""
        self.directory = directory
        self.segment_bytes = min(max(max_bytes // SEGMENTS_OF_QUOTA, MIN_SEGMENT_BYTES), MAX_SEGMENT_BYTES)
        """Size at which a segment is closed."""
        self.clear()

    def clear(self) -> None:
        """Forget every segment."""
        self._rows: Counter[int] = Counter()
        self._sizes: dict[int, int] = {}
        self._spares: list[int] = []
        self._emptied: list[int] = []

    def scan(self, rows: Mapping[int, tuple[int, int]]) -> None:
        """Start with the files on the disk; `rows` as for `ImageFiles.open`. Segments without rows become spares."""
        try:
            self._sizes = {number: path.stat().st_size for number, path in self._files()}
        except OSError as error:
            raise explain_os_error(error, self.directory) from error
        self._emptied = []
        self._rows = Counter({number: count for number, (count, _) in rows.items()})
        self._spares = sorted(set(self._sizes) - set(rows))
        self.delete_spares(KEPT_SPARES)
        self._prepare_spares()

    def _files(self) -> list[tuple[int, Path]]:
        found = self.directory.iterdir() if self.directory.is_dir() else iter(())
        return [(int(name[1]), path) for path in found if (name := _NAME.fullmatch(path.name))]

    def path(self, number: int) -> Path:
        return self.directory / f"segment-{number:06}"

    # Sizes

    def exists(self, number: int) -> bool:
        """Whether the file is on the disk, as far as is known."""
        return number in self._sizes

    def size(self, number: int) -> int:
        """Length of the file, bytes."""
        return self._sizes[number]

    def created(self, number: int) -> None:
        """The file exists now; its length is 0 if it is new."""
        self._sizes.setdefault(number, 0)

    def grown(self, number: int, end: int) -> None:
        """The file has been written up to `end`, bytes from its start."""
        self._sizes[number] = max(self._sizes.get(number, 0), end)

    @property
    def bytes_on_disk(self) -> int:
        """Size of all segments, spares included."""
        return sum(list(self._sizes.values()))

    @property
    def bytes_in_use(self) -> int:
        """Size of the segments that rows refer to."""
        return sum(self._sizes.get(number, 0) for number in self._rows)

    # Reuse

    def take(self) -> int:
        """The number of a segment to write from its start: a spare, or a new one."""
        return self._spares.pop() if self._spares else max([0, *self._sizes]) + 1

    def closed(self, number: int) -> None:
        """Nothing more is written to this segment for now. Without rows, it may be reused after a durable commit."""
        if number not in self._rows:
            self._emptied.append(number)

    def committed(self, added: Iterable[Location], removed: Iterable[Location]) -> None:
        """These images were added and removed by a transaction."""
        self._rows.update(location.segment for location in added)
        for location in removed:
            self._rows[location.segment] -= 1
            if self._rows[location.segment] <= 0:
                del self._rows[location.segment]
                self._emptied.append(location.segment)

    def is_emptied(self, number: int | None) -> bool:
        """No row refers to the segment any more, which may not be durable yet."""
        return number in self._emptied

    @property
    def emptied(self) -> int:
        """Number of segments that the next durable commit frees."""
        return len(self._emptied)

    def free_emptied(self) -> None:
        """Every deletion so far is durable: emptied segments become spares."""
        if self._emptied:
            # A segment that was emptied and filled again in the same transaction is in use.
            self._spares += [number for number in dict.fromkeys(self._emptied) if number not in self._rows]
            self._emptied.clear()
            self.delete_spares(KEPT_SPARES)

    def delete_spares(self, keep: int) -> None:
        """Delete the spares beyond `keep`, the highest numbers first; oversized ones in any case."""
        large = {number for number in self._spares if self._sizes.get(number, 0) > 2 * self.segment_bytes}
        self._spares.sort(key=lambda number: (number in large, number))
        while self._spares and (len(self._spares) > keep or self._spares[-1] in large):
            number = self._spares.pop()
            try:
                self.path(number).unlink(missing_ok=True)
            except OSError as error:
                log.debug("%s: %s", self.path(number), error)
            self._sizes.pop(number, None)

    def _prepare_spares(self) -> None:
        """Write spares full of zeros if the disk has plenty of room; needed once in the life of an outbox."""
        missing = KEPT_SPARES - len(self._spares)
        with suppress(OSError):
            if missing <= 0 or _free_bytes(self.directory.parent) < SPARE_PART_OF_DISK * missing * self.segment_bytes:
                return
            self.directory.mkdir(exist_ok=True)
            for _ in range(missing):
                number = max([0, *self._sizes, *self._rows]) + 1
                self._sizes[number] = 0
                self._spares.append(number)
                with self.path(number).open("wb") as file:
                    file.write(bytes(self.segment_bytes))
                    file.flush()
                    # Otherwise the first alarm would wait for this sync.
                    os.fdatasync(file.fileno())
                self._sizes[number] = self.segment_bytes
            self.sync_directory()

    def sync_directory(self) -> None:
        """Make new files durable: a file needs its directory synced, a new directory its parent."""
        for directory in (self.directory, self.directory.parent):
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def explain_os_error(error: OSError, directory: Path) -> Temporary:
    """The error as one line that says what to do; `DiskFull` if there is no room."""
    if is_disk_full(error):
        return DiskFull(f"{directory}: {disk_reason(error, directory.parent)}")
    if error.errno in _READ_ONLY:
        return Temporary(f"{directory} cannot be written: the disk or the file is read-only")
    return Temporary(f"{directory}: {error.strerror}")


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
