"""The files of one camera that need not be read again: they were inspected, or they are in quarantine.

A SQLite database. A file is added once everything that follows from it is durable, so a killed agent reads it once more
at worst, and the ids of its alarms are then the same (`agent.core.ids.file_id`). Additions are not synced for that
reason: a power cut may undo the latest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from agent.core.durable_file import disk_reason
from agent.core.records import FileVersion

log = logging.getLogger(__name__)

T = TypeVar("T")

# About 100 bytes each: 50 MB. Files that are still in the folder are never forgotten; these are the others, which may
# return with a share or a folder that was away.
MAX_FILES = 500_000

# Files that are forgotten together, so that a full ledger is not searched for each new file.
FORGET_TOGETHER = 1_000

# Kept in memory while the disk is full: some 20 MB. Beyond, the oldest are inspected again after a restart.
MAX_UNWRITTEN = 50_000

# SQLite's; in nanoseconds, the year 2262. The key is of the full time.
MAX_INTEGER = 2**63 - 1

# 64 bits of a hash: with 500,000 files, a new one is mistaken for another with a probability of 3e-14.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY, key INTEGER NOT NULL UNIQUE, name TEXT NOT NULL, size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, frame INTEGER NOT NULL, added INTEGER NOT NULL, rejected_by TEXT)
"""


class Ledger:
    """Remembers versions of files by name, size and time. Any thread may call. Never raises.

    path: the database, created with the first file; None keeps it in memory.
    model: names the model and the crop. A file that did not fit them is contained until they change.
    max_files: files beyond this number are forgotten, the oldest first, unless they are still listed.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        model: str = "",
        max_files: int = MAX_FILES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.problem: str | None = None
        """Why files cannot be recorded at the moment, one line; None while they can."""
        self._model = model
        self._max_files = max_files
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._begun: set[FileVersion] = set()
        """Read, and not recorded yet."""
        self._unwritten: deque[tuple[FileVersion, str | None]] = deque()
        """Finished, and not recorded because of a problem."""
        self._count = 0
        if path is None or path.exists():
            with self._lock:
                self._attempt("opened", self._opened)

    def begin(self, file: FileVersion) -> None:
        """The file has been read: `contains` is true from now on, for this process."""
        with self._lock:
            self._begun.add(file)

    def add(self, files: Sequence[FileVersion], *, rejected: bool = False) -> None:
        """Everything that follows from these files is durable. If they cannot be recorded, it is tried again later.

        rejected: they do not fit the model.
        """
        with self._lock:
            self._begun.update(files)
            self._unwritten.extend((file, self._model if rejected else None) for file in files)
            self._attempt("written", self._write)
            while len(self._unwritten) > MAX_UNWRITTEN:
                self._unwritten.popleft()

    def contains(self, file: FileVersion) -> bool:
        """Whether this version of the file has been read, now or before a restart."""
        with self._lock:
            if file in self._begun:
                return True
            if self._connection is None and self.path is not None and not self.path.exists():
                return False
            query = "SELECT 1 FROM file WHERE key = ? AND (rejected_by IS NULL OR rejected_by = ?)"
            found = self._attempt("read", lambda: self._opened().execute(query, (_key(file), self._model)).fetchone())
            return found is not None

    def has_finished(self, name: str) -> bool:
        """Whether everything that follows from a file of this name, in any version, is durable.

        Of several images in a file, the last one has frame 0.
        """
        with self._lock:
            if self._connection is None and self.path is not None and not self.path.exists():
                return False
            query = "SELECT 1 FROM file WHERE name = ? AND frame = 0"
            found = self._attempt("read", lambda: self._opened().execute(query, (_text(name),)).fetchone())
            return found is not None

    def forget_unlisted(self, listed: Container[FileVersion]) -> None:
        """Keep the limit: forget the oldest files that are not `listed`. For a complete listing of the folder."""
        with self._lock:
            if self._count >= self._max_files + FORGET_TOGETHER:
                self._attempt("written", lambda: self._forget(listed))

    def close(self) -> None:
        """Release the file. Does nothing where it is closed."""
        with self._lock:
            if self._connection is not None:
                with suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None

    def __len__(self) -> int:
        """Recorded files."""
        return self._count

    # With the lock held

    def _write(self) -> None:
        connection, now = self._opened(), int(self._now())
        rows = [
            (_key(f), _text(f.name), f.size, min(f.modified_ns, MAX_INTEGER), f.frame, now, rejected_by)
            for f, rejected_by in self._unwritten
        ]
        with connection:
            before = connection.total_changes
            connection.executemany("INSERT OR IGNORE INTO file VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)", rows)
            added = connection.total_changes - before
            # One that another model rejected.
            changes = [(rejected_by, key, rejected_by) for key, *_, rejected_by in rows]
            connection.executemany("UPDATE file SET rejected_by = ? WHERE key = ? AND rejected_by IS NOT ?", changes)
        self._count += added
        self._begun.difference_update(file for file, _ in self._unwritten)
        self._unwritten.clear()

    def _forget(self, listed: Container[FileVersion]) -> None:
        connection = self._opened()
        excess = self._count - self._max_files
        absent: list[tuple[int]] = []
        for row, name, *version in connection.execute(
            "SELECT id, name, size, modified_ns, frame FROM file ORDER BY id"
        ):
            if FileVersion(os.fsdecode(name), *version) not in listed:
                absent.append((row,))
            if len(absent) == excess:
                break
        with connection:
            connection.executemany("DELETE FROM file WHERE id = ?", absent)
        self._count -= len(absent)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.DatabaseError as error:
                if not _is_corrupt(error):
                    raise
                self._set_aside(error)
                self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self.path or ":memory:", check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(_SCHEMA)
            (self._count,) = connection.execute("SELECT count(*) FROM file").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """Rename the damaged file; an earlier one is replaced, so that they do not fill the disk."""
        assert self.path is not None
        aside = self.path.with_name(f"{self.path.name}.corrupt")
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).replace(aside.with_name(aside.name + suffix))
        log.error(
            "%s is corrupt (%s): set aside as %s; files that are still in the folder are inspected again, "
            "under the same alarm ids",
            self.path,
            error,
            aside.name,
        )

    def _attempt(self, what: str, work: Callable[[], T]) -> T | None:
        """Run `work`. An error is kept as the problem: first WARNING, repeats DEBUG, recovery INFO."""
        try:
            result = work()
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.DatabaseError) and _is_corrupt(error) and self._connection is not None:
                self._connection.close()
                self._connection = None
            reason = disk_reason(error, "the disk" if self.path is None else self.path.parent)
            text = f"the list of inspected files cannot be {what}: {self.path}: {reason}"
            log.log(logging.WARNING if self.problem is None else logging.DEBUG, "%s", text)
            self.problem = text
            return None
        if self.problem is not None:
            log.info("the list of inspected files can be used again: %s", self.path)
            self.problem = None
        return result


def _key(file: FileVersion) -> int:
    """A signed 64-bit hash."""
    about = f"{file.name}\0{file.size}\0{file.modified_ns}\0{file.frame}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(about, digest_size=8).digest(), "big", signed=True)


def _text(name: str) -> str | bytes:
    """The name as SQLite takes it: bytes where it is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name)
    return name


def _is_corrupt(error: sqlite3.DatabaseError) -> bool:
    return any(words in str(error) for words in ("not a database", "malformed"))
