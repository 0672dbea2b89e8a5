"""A folder of images, read in natural order. It can be followed while a scanner writes into it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NoReturn

from agent.core.clock import Pace, utc_now
from agent.core.errors import Permanent, Temporary
from agent.core.printable import printable
from agent.core.records import FileVersion, Image
from agent.sources.folder.arrivals import Arrivals
from agent.sources.folder.attempts import MAX_ATTEMPTS, Attempts
from agent.sources.folder.file_images import FileImages
from agent.sources.folder.listing import FolderListing, Found
from agent.sources.folder.quarantine import QUARANTINE_MAX_BYTES, Quarantine
from agent.sources.ledger import Ledger
from agent.sources.settings import FolderSettings
from agent.sources.source import Captured, EndOfStream, FileCounts, FrameSource
from engines.errors import FileAccessError, ImageError
from engines.images import FileReading, natural_order, read_image, suffixes_read

log = logging.getLogger(__name__)

# Beside the ledger: the file that is being read.
BEING_READ = "file-being-read.json"

# Listing 100,000 files takes half a second. A large folder is listed less often, so that it takes a fifth of a core.
REST_PER_LISTING = 4.0
MAX_REST_SECONDS = 10.0


class FolderSource(FrameSource):
    """The images of a folder; none is lost, and none that the ledger has is read again.

    path: the folder. Hidden files, and names without the suffix of an image (such as `x.png.part`), are skipped.
    follow: after the last image, wait for new ones. A file is read once its size and time have not changed for
        `settle_seconds` and it decodes to the end; a file that is written again counts as a new image. Versions that
        are overwritten sooner are counted and logged.
    recursive: also read the folders below.
    reading: how files are read that do not describe themselves.
    frames_per_second: pace; None reads as fast as the caller asks.
    quarantine_directory: for copies of unreadable files, up to `quarantine_max_bytes`. The folder itself is only read.
    """

    live = False
    uses_ledger = True
    _overwritten = 0
    _delivered = 0
    _reported_known = False
    _waiting: str | None = None

    def __init__(
        self,
        path: Path | str,
        *,
        follow: bool = False,
        recursive: bool = False,
        reading: FileReading | None = None,
        frames_per_second: float | None = None,
        settle_seconds: float = 1.0,
        poll_seconds: float = 0.2,
        quarantine_directory: Path | None = None,
        quarantine_max_bytes: int = QUARANTINE_MAX_BYTES,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        self._follow = follow
        self._settle_seconds, self._poll_seconds, self._clock = settle_seconds, poll_seconds, clock
        self._quarantine = Quarantine(quarantine_directory, quarantine_max_bytes, now)
        self._reading = reading or FileReading()
        self._cancelled = threading.Event()
        self._sleep = sleep or self._cancelled.wait  # ends when the source is cancelled
        self._pace = Pace(frames_per_second, clock, self._sleep)
        self._listing = FolderListing(
            self._path,
            recursive=recursive,
            repeated=follow,
            suffixes=suffixes_read(self._reading),
            on_rejected=lambda link, reason: self._quarantine.add(link, printable(reason), copy=False),
        )
        self._arrivals = Arrivals(settle_seconds, clock, self._report_missed)
        self._attempts = Attempts(None)
        self._known = Ledger(None)
        """The ledger, or one in memory: then a file counts as inspected once it is read."""
        self._finished: dict[str, FileVersion] = {}
        """The listed files that the ledger contains: it is not asked again for each listing."""
        self._ready: deque[FileVersion] = deque()
        self._images = FileImages(self._path, self._reading)

    @property
    def files(self) -> FileCounts:
        """Files that were not delivered."""
        quarantine = self._quarantine
        return FileCounts(quarantine.count, self._overwritten, self._listing.skipped_count, quarantine.latest)

    @property
    def waiting(self) -> str | None:
        """That there are no more images, or no new ones."""
        return self._waiting

    def describe(self) -> str:
        """Name the source."""
        return f"folder {self._path}"

    def use_ledger(self, ledger: Ledger) -> None:
        """Skip the files that the ledger contains."""
        super().use_ledger(ledger)
        self._known = ledger
        self._attempts = Attempts(None if ledger.path is None else ledger.path.with_name(BEING_READ))

    def reject(self, captured: Captured, reason: str) -> None:
        """Put an image that does not fit the model into quarantine: the next may fit."""
        assert captured.file is not None
        self._delivered -= 1
        name = captured.origin or captured.file.name
        self._quarantine.add(self._path / captured.file.name, printable(f"{self._path / name}: {reason}"))
        if not self._images.finishes_early(captured.file):
            self._known.add([captured.file], rejected=True)

    def cancel(self) -> None:
        """Let a read that waits for new images end."""
        self._cancelled.set()

    def _open(self) -> None:
        """List the folder. Without a ledger, one that is not followed starts from its first image each time."""
        self._cancelled.clear()
        self._pace.restart()
        self._arrivals.clear()
        if not self._follow and self._ledger is None:
            self._known, self._finished = Ledger(None), {}
        files = self._list()
        if not self._follow and not files:
            wanted = ", ".join(sorted(suffixes_read(self._reading)))
            raise Permanent(f"{self.describe()} holds no image, wanted {wanted} files")
        new = self._new(files)
        self._report_known(len(files) - len(new), len(files))
        if not self._follow:
            self._ready = deque(found.version for found in new.values())

    def _close(self) -> None:
        self._ready.clear()
        self._images.drop()

    def _read(self) -> Captured:
        while True:
            while not self._images:
                self._images.start(self._next_file(), self._known.contains)
            file, path = self._images.next()
            image = self._load(file, path)
            if image is not None:
                self._pace.wait()
                self._delivered += 1
                name = str(path.relative_to(self._path))
                return Captured(image, _time_of(file), self._clock(), _valid_unicode(name), file)

    def _next_file(self) -> FileVersion:
        while not self._ready:
            if not self._follow:
                self._end()
            if self._cancelled.is_set():
                raise Temporary(f"{self.describe()} was cancelled")
            started = self._clock()
            new = self._new(self._list())
            self._ready.extend(new[name].version for name in self._arrivals.settled(new))
            if not self._ready:
                self._waiting = f"{self.describe()} has no new images"
                listing_seconds = self._clock() - started
                self._sleep(max(self._poll_seconds, min(MAX_REST_SECONDS, REST_PER_LISTING * listing_seconds)))
        self._waiting = None
        return self._ready.popleft()

    def _end(self) -> NoReturn:
        """Raise `EndOfStream`, or `Permanent` if there were images and none of them could be inspected."""
        if self._quarantine.count > 0 and self._delivered == 0 and not self._finished:
            raise Permanent(
                f"{self.describe()}: none of its images could be inspected, {self._quarantine.count} are in "
                f"quarantine, such as {self._quarantine.latest}"
            )
        self._waiting = f"{self.describe()} has no more images"
        raise EndOfStream

    def _load(self, file: FileVersion, path: Path) -> Image | None:
        """Read an image; None if that fails: then the file is tried again later, or it is in quarantine."""
        if not self._attempts.begin(file):
            self._set_aside(file, f"{path}: the agent has ended {MAX_ATTEMPTS} times while it read this file")
            return None
        try:
            image = read_image(path, self._reading)
        except Exception as error:  # whatever it is, it concerns this file only
            self._report_unreadable(file, path, error)
            return None
        finally:
            self._attempts.end(file)
        if self._follow and not self._is_still(self._path / file.name, file):
            self._images.drop()
            return None
        self._arrivals.finish(file.name)
        if self._ledger is None:
            self._known.add([file])
        else:
            self._known.begin(file)
        return image

    def _report_unreadable(self, file: FileVersion, path: Path, error: Exception) -> None:
        """Try the file again later, or set the image aside."""
        if not isinstance(error, ImageError):
            log.debug("%s: unexpected error", path, exc_info=True)
        if self._arrivals.failed(file.name):
            self._images.drop()
        else:
            reason = str(error) if isinstance(error, ImageError) else f"{path}: cannot be read ({error!r})"
            self._set_aside(file, reason, passing=isinstance(error, FileAccessError))

    def _is_still(self, path: Path, file: FileVersion) -> bool:
        """Whether the file that was read is the version that was listed. If not, it has to settle again."""
        try:
            status = path.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (file.size, file.modified_ns)

    def _set_aside(self, file: FileVersion, reason: str, *, passing: bool = False) -> None:
        """Put an image into quarantine; `passing`: it may be readable after a restart."""
        self._arrivals.finish(file.name)
        self._attempts.end(file)
        self._quarantine.add(self._path / file.name, printable(reason))
        if passing or self._images.finishes_early(file):
            self._known.begin(file)
        else:
            self._known.add([file])

    def _report_missed(self, name: str) -> None:
        """First WARNING, repeats DEBUG."""
        self._overwritten += 1
        log.log(
            logging.WARNING if self._overwritten == 1 else logging.DEBUG,
            "%s: overwritten before it was %g s old, so that version was not inspected (%d such versions so far); "
            "write each image under a name of its own",
            printable(str(self._path / name)),
            self._settle_seconds,
            self._overwritten,
        )

    def _report_known(self, known: int, listed: int) -> None:
        """Once: where files are skipped because they were inspected before the start."""
        if self._ledger is not None and not self._reported_known and known > 0:
            log.info(
                "%s: %d of its %d images were inspected before and are skipped; to inspect them again, stop the agent "
                "and remove %s",
                self.describe(),
                known,
                listed,
                self._ledger.path,
            )
        self._reported_known = True

    def _new(self, files: dict[str, Found]) -> dict[str, Found]:
        """The files that were not inspected yet, in natural order."""
        finished, new = {}, []
        for name, found in files.items():
            if self._finished.get(name) == found.version or self._known.contains(found.version):
                finished[name] = found.version
            else:
                new.append(name)
        self._finished = finished
        self._known.forget_unlisted(_Versions(files))
        return {name: files[name] for name in sorted(new, key=natural_order)}

    def _list(self) -> dict[str, Found]:
        """The image files. A missing folder is `Temporary` if it is followed (a network share may return)."""
        error_type = Temporary if self._follow else Permanent
        if not self._path.is_dir():
            problem = "is not a folder" if self._path.exists() else "does not exist"
            raise error_type(f"{self.describe()} {problem}, wanted a folder of images")
        try:
            return self._listing.files()
        except OSError as error:
            raise error_type(f"{self.describe()} cannot be listed: {error.strerror or error}") from error


class _Versions:
    """The versions of the listed files, as a container."""

    def __init__(self, files: dict[str, Found]) -> None:
        self._files = files

    def __contains__(self, file: object) -> bool:
        found = self._files.get(file.name) if isinstance(file, FileVersion) else None
        return found is not None and found.version == file


def _time_of(file: FileVersion) -> datetime:
    """When the file was changed last, UTC; a time that a calendar cannot show becomes the nearest that it can."""
    microseconds = min(max(file.modified_ns // 1000, 0), 253_402_300_799_000_000)
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)


def from_settings(settings: FolderSettings, *, quarantine_directory: Path) -> FolderSource:
    """The folder that the settings name."""
    return FolderSource(
        settings.path,
        follow=settings.follow,
        recursive=settings.recursive,
        reading=settings.reading,
        frames_per_second=settings.frames_per_second,
        quarantine_directory=quarantine_directory,
    )


def _valid_unicode(name: str) -> str:
    """A file's name as documents can carry it: bytes that are not UTF-8 become U+FFFD.

    >>> _valid_unicode("part-\\udce4.png")
    'part-\\ufffd.png'
    """
    return os.fsencode(name).decode("utf-8", "replace")
