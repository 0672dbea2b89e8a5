"""A folder of images, read in the order of their names. It can be followed while a scanner writes into it."""

from __future__ import annotations

import logging
import os
import re
import stat
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent.core.clock import Pace, utc_now
from agent.core.errors import Permanent, Temporary
from agent.core.records import Image
from agent.sources.quarantine import QUARANTINE_MAX_BYTES, Quarantine
from agent.sources.settings import FolderSettings
from agent.sources.source import Captured, EndOfStream, FrameSource
from engines.errors import ImageError
from engines.images import SUFFIXES, read_image

log = logging.getLogger(__name__)

# A file that does not decode and has not changed for this long is given up: its writer has failed.
GIVE_UP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Version:
    """The state of a file; it differs after each write."""

    size: int
    modified_ns: int
    inode: int

    def is_replaced_by(self, later: _Version) -> bool:
        """Whether the later version is another file under the same name, rather than this one written further."""
        return later.inode != self.inode or later.size < self.size


@dataclass(slots=True)
class _Unsettled:
    """A file that may still be written to."""

    version: _Version
    since: float
    """When this version was first seen, monotonic seconds; the file's own time is by the writer's clock."""
    failed: bool = False
    """It did not decode. It is read again when it has changed, or once more before it is given up."""


class FolderSource(FrameSource):
    """The images of a folder; none is lost.

    path: the folder. Hidden files, and names without the suffix of an image (such as `x.png.part`), are skipped.
    follow: after the last image, wait for new ones. A file is read once its size and time have not changed for
        `settle_seconds` and it decodes to the end; a file that is written again counts as a new image. Versions that
        are overwritten sooner are counted and logged.
    recursive: also read the folders below.
    frames_per_second: pace; None reads as fast as the caller asks.
    quarantine_directory: for copies of unreadable files, up to `quarantine_max_bytes`. The folder itself is only read.
    """

    live = False

    def __init__(
        self,
        path: Path | str,
        *,
        follow: bool = False,
        recursive: bool = False,
        frames_per_second: float | None = None,
        settle_seconds: float = 1.0,
        poll_seconds: float = 0.2,
        quarantine_directory: Path | None = None,
        quarantine_max_bytes: int = QUARANTINE_MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        self._follow, self._recursive = follow, recursive
        self._settle_seconds, self._poll_seconds = settle_seconds, poll_seconds
        self._quarantine = Quarantine(quarantine_directory, quarantine_max_bytes, now)
        self._pace = Pace(frames_per_second, clock, sleep)
        self._clock, self._sleep, self._now = clock, sleep, now
        self._ready: deque[Path] = deque()
        self._done: dict[Path, _Version] = {}
        self._unsettled: dict[Path, _Unsettled] = {}
        self._rejected_links: set[Path] = set()
        self._reported_formats: set[str] = set()
        self.missed_count = 0
        """Versions of files that were overwritten before they could be read, since the start."""

    @property
    def unreadable_count(self) -> int:
        """Files that could not be read, since the start."""
        return self._quarantine.count

    def describe(self) -> str:
        """Name the source."""
        return f"folder {self._path}"

    def _open(self) -> None:
        """List the folder. A folder that is not followed starts from its first image each time it is opened."""
        self._pace.restart()
        self._unsettled.clear()
        files = self._list()
        if not self._follow:
            if not files:
                raise Permanent(f"{self.describe()} holds no image, wanted {', '.join(sorted(SUFFIXES))} files")
            self._ready = deque(files)

    def _close(self) -> None:
        self._ready.clear()

    def _read(self) -> Captured:
        while True:
            file = self._next_file()
            image = self._load(file)
            if image is not None:
                self._pace.wait()
                return Captured(image, self._now(), self._clock(), _printable_name(file.relative_to(self._path)))

    def _next_file(self) -> Path:
        while not self._ready:
            if not self._follow:
                raise EndOfStream
            self._ready.extend(self._settled())
            if not self._ready:
                self._sleep(self._poll_seconds)
        return self._ready.popleft()

    def _load(self, file: Path) -> Image | None:
        """Read an image; None if that fails: then the file is tried again later, or it is in quarantine."""
        unsettled = self._unsettled.get(file)
        try:
            image = read_image(file)
        except ImageError as error:
            if unsettled is not None and not unsettled.failed:
                unsettled.failed = True
            else:
                self._finish(file)
                self._quarantine.add(file, str(error))
            return None
        self._finish(file)
        return image

    def _finish(self, file: Path) -> None:
        unsettled = self._unsettled.pop(file, None)
        if unsettled is not None:
            self._done[file] = unsettled.version

    def _settled(self) -> list[Path]:
        """New files, sorted, that have not changed for a while."""
        files = self._versions()
        # Forget files that were removed; otherwise memory would grow for as long as the line runs.
        self._done = {file: version for file, version in self._done.items() if file in files}
        self._unsettled = {file: unsettled for file, unsettled in self._unsettled.items() if file in files}
        return [file for file, version in files.items() if self._is_settled(file, version)]

    def _is_settled(self, file: Path, version: _Version) -> bool:
        if self._done.get(file) == version:
            return False
        unsettled = self._unsettled.get(file)
        if unsettled is None or unsettled.version != version:
            if unsettled is not None and unsettled.version.is_replaced_by(version):
                self._report_missed(file)
            unsettled = self._unsettled[file] = _Unsettled(version, self._clock())
        wanted_seconds = GIVE_UP_SECONDS if unsettled.failed else self._settle_seconds
        return self._clock() - unsettled.since >= wanted_seconds

    def _report_missed(self, file: Path) -> None:
        """First WARNING, repeats DEBUG."""
        self.missed_count += 1
        log.log(
            logging.WARNING if self.missed_count == 1 else logging.DEBUG,
            "%s: overwritten before it was %g s old, so that version was not inspected (%d such versions so far); "
            "write each image under a name of its own",
            file,
            self._settle_seconds,
            self.missed_count,
        )

    def _versions(self) -> dict[Path, _Version]:
        versions = {}
        for file in self._list():
            try:
                status = file.stat()
            except OSError:
                continue
            versions[file] = _Version(status.st_size, status.st_mtime_ns, status.st_ino)
        return versions

    def _list(self) -> list[Path]:
        """The image files, sorted. A missing folder is `Temporary` if it is followed (a network share may return)."""
        error_type = Temporary if self._follow else Permanent
        if not self._path.is_dir():
            problem = "is not a folder" if self._path.exists() else "does not exist"
            raise error_type(f"{self.describe()} {problem}, wanted a folder of images")
        try:
            entries = list(self._path.rglob("*") if self._recursive else self._path.iterdir())
            home = self._path.resolve()
        except OSError as error:
            raise error_type(f"{self.describe()} cannot be listed: {error.strerror or error}") from error
        return sorted((entry for entry in entries if self._is_image(entry, home)), key=_natural_order)

    def _is_image(self, entry: Path, home: Path) -> bool:
        """True for a regular file with the suffix of an image. Reading from a pipe of that name would never return."""
        hidden = any(part.startswith(".") for part in entry.relative_to(self._path).parts)
        if hidden:
            return False
        if entry.suffix.lower() not in SUFFIXES:
            self._report_format(entry)
            return False
        if entry.is_symlink() and not self._accepts_link(entry, home):
            return False
        try:
            return stat.S_ISREG(entry.stat().st_mode)
        except OSError:
            return False

    def _accepts_link(self, link: Path, home: Path) -> bool:
        """Whether a link leads to a file inside the folder. Others are reported once, and nothing is copied of them."""
        if link in self._rejected_links:
            return False
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):  # a loop is a RuntimeError before Python 3.13
            reason = "the link leads nowhere"
        else:
            if target.is_relative_to(home):
                return True
            reason = "the link leads out of the folder"
        self._rejected_links.add(link)
        self._quarantine.add(link, f"{link}: {reason}; wanted a file inside {self._path}", copy=False)
        return False

    def _report_format(self, entry: Path) -> None:
        """Once for each suffix: a folder whose files are all skipped would otherwise stay silent."""
        suffix = entry.suffix.lower()
        if suffix not in self._reported_formats and entry.is_file():
            self._reported_formats.add(suffix)
            kind = f"{suffix} files" if suffix else "files without a suffix"
            log.warning(
                "%s: %s are skipped, such as %s; wanted %s",
                self.describe(),
                kind,
                entry.name,
                ", ".join(sorted(SUFFIXES)),
            )


def _printable_name(path: Path) -> str:
    """The path as text that JSON can carry: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(path).decode("utf-8", "replace")


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Key that sorts numbers in names by value.

    >>> sorted([Path("part_10.png"), Path("part_2.png")], key=_natural_order)
    [PosixPath('part_2.png'), PosixPath('part_10.png')]
    """
    # Every second part is a number.
    parts = re.split(r"([0-9]+)", str(path))
    return [(0, int(part), part) if index % 2 else (1, 0, part) for index, part in enumerate(parts)]


def from_settings(settings: FolderSettings, *, quarantine_directory: Path) -> FolderSource:
    """The folder that the settings name."""
    return FolderSource(
        settings.path,
        follow=settings.follow,
        frames_per_second=settings.frames_per_second,
        quarantine_directory=quarantine_directory,
    )
