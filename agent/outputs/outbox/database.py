"""A small SQLite database owned by one process: durable commits, clear errors, recovery from a corrupt file.

WAL with `synchronous=FULL`: a commit returns after the log is synced, so a committed transaction survives a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous). The file is locked exclusively: a second agent gets an error.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agent.core.durable_file import disk_reason, is_disk_full
from agent.core.errors import InspectdError, Permanent, Temporary
from agent.outputs.outbox.set_aside import SetAside

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# From this size on, the log is moved into the database. The log file keeps this size: later commits overwrite it from
# its start instead of growing it, which matters when the disk is full.
LOG_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 4096

# Free pages kept for the next alarms, and returned to the file system at a time: 4 MB.
FREE_PAGES = 1024

_CORRUPT = ("file is not a database", "malformed", "file is encrypted")
_READ_ONLY = ("readonly", "read-only")
_LOCKED = ("locked", "busy")


def _mentions(error: sqlite3.Error, phrases: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(phrase in text for phrase in phrases)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements separated by semicolons. `executescript` would commit first."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


class DiskFull(Temporary):
    """There is no room on the disk for a commit."""


class Database:
    """Runs transactions on one file, one at a time; any thread may call. Raises only `Temporary` and `Permanent`."""

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        on_new_file: Callable[[sqlite3.Connection, Path | None], None],
        upgrades: Sequence[str] = (),
        additions: Sequence[tuple[str, str, str]] = (),
    ) -> None:
        """Open the file, or create it. A corrupt file is set aside and replaced by a new one.

        Args:
            path: the file; missing directories are created.
            schema: the statements that create the tables of a new file.
            on_new_file: `on_new_file(connection, aside)` fills a new file; `aside` is the corrupt file it replaces.
            upgrades: for each version of the schema, from 0 on, the statements that lead to the next version.
            additions: (table, column, declaration) of columns that a file of the current version may lack.
        """
        self._path = path
        self._schema = schema
        self._upgrades = upgrades
        self._additions = additions
        self._on_new_file = on_new_file
        self._lock = threading.RLock()
        self._asides = SetAside(path)
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        with self._lock:
            self._connection = self._open()

    @property
    def path(self) -> Path:
        return self._path

    def transaction(self, work: Work[T], *, durable: bool = True) -> T:
        """Run `work` in a transaction, commit, and return its result.

        An exception in `work` rolls the transaction back. If the file is corrupt, it is set aside and `work` runs
        again on a new one. `durable=False` skips the sync: a power cut may undo the commit.
        """
        return self._retry_if_corrupt(lambda connection: self._commit(connection, work, durable))

    def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, and return its result; on a corrupt file as `transaction` does."""
        return self._retry_if_corrupt(work)

    def checkpoint(self) -> None:
        """Move the log into the database, so that the log is overwritten from its start; a failure is harmless."""
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                except sqlite3.Error as error:
                    log.debug("checkpoint of %s: %s", self._path, error)

    def shrink(self, *, keep_pages: int = FREE_PAGES) -> None:
        """Return some of the free pages to the file system, unless there are no more than `keep_pages`."""
        with self._lock:
            connection = self._connection
            if connection is None or connection.execute("PRAGMA freelist_count").fetchone()[0] <= keep_pages:
                return
            try:
                # `execute` would take only the first step of this statement: one page.
                connection.executescript(f"PRAGMA incremental_vacuum({FREE_PAGES})")
            except sqlite3.Error as error:
                log.debug("shrinking %s: %s", self._path, error)

    def bytes_on_disk(self) -> int:
        """Size of the database and its log, bytes."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # Transactions

    def _retry_if_corrupt(self, work: Work[T]) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except sqlite3.DatabaseError as error:
                if not _mentions(error, _CORRUPT):
                    raise self._explain(error) from error
                self._replace_corrupt(error)
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                raise self._explain(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._closed:
            raise Permanent(f"{self._path} is closed")
        if self._connection is None:
            # The disk was full when a corrupt file had to be replaced.
            self._connection = self._open()
        return self._connection

    @staticmethod
    def _commit(connection: sqlite3.Connection, work: Work[T], durable: bool) -> T:
        if not durable:
            connection.execute("PRAGMA synchronous = NORMAL")
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result
        finally:
            if not durable:
                connection.execute("PRAGMA synchronous = FULL")

    # Opening

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Permanent(f"cannot create {self._path.parent}: {error.strerror}") from error
        try:
            return self._connect(aside=None)
        except sqlite3.DatabaseError as error:
            if not _mentions(error, _CORRUPT):
                raise self._explain(error) from error
            aside = self._set_aside(error)
        try:
            return self._connect(aside)
        except sqlite3.Error as error:
            raise self._explain(error) from error

    def _connect(self, aside: Path | None) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0.5)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # Debian builds SQLite to overwrite deleted content: deleting would then cost as much as inserting.
            connection.execute("PRAGMA secure_delete = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES}")
            self._check(connection)
            self._prepare(connection, aside)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _check(connection: sqlite3.Connection) -> None:
        (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if result != "ok":
            raise sqlite3.DatabaseError(f"malformed: {result}")

    def _prepare(self, connection: sqlite3.Connection, aside: Path | None) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                _run(connection, self._schema)
                connection.execute(f"PRAGMA user_version = {len(self._upgrades)}")
                self._on_new_file(connection, aside or self._asides.waiting())
            else:
                self._upgrade(connection)
            connection.execute("COMMIT")
            self._asides.finish()
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        known = len(self._upgrades)
        if version > known:
            raise Permanent(
                f"{self._path} has version {version}, this inspectd reads up to version {known}: install a newer one"
            )
        for statements in self._upgrades[version:]:
            _run(connection, statements)
        if version < known:
            connection.execute(f"PRAGMA user_version = {known}")
            log.info("%s: upgraded from version %d to %d", self._path, version, known)
        for table, column, declaration in self._additions:
            if column not in {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {declaration}")
                log.info("%s: column %s added", self._path, column)

    # Errors

    def _replace_corrupt(self, error: sqlite3.DatabaseError) -> None:
        self._disconnect()
        aside = self._set_aside(error)
        try:
            self._connection = self._connect(aside)
        except sqlite3.Error as again:
            raise self._explain(again) from again

    def _set_aside(self, error: sqlite3.DatabaseError) -> Path:
        """Rename the file and its log, so that they can be read and examined; returns the new path of the file."""
        try:
            aside = self._asides.rename()
        except OSError as cause:
            raise Permanent(f"{self._path} is corrupt and cannot be set aside: {cause.strerror}") from cause
        log.error("%s is corrupt (%s): set aside, starting a new one", self._path, error)
        return aside

    def _explain(self, error: sqlite3.Error) -> InspectdError:
        """The error as one line that says what to do."""
        path = self._path
        if is_disk_full(error):
            return DiskFull(f"{path}: {disk_reason(error, path.parent)}")
        if _mentions(error, _READ_ONLY) or not os.access(path.parent, os.W_OK):
            return Temporary(f"{path} cannot be written: the disk or the file is read-only")
        if _mentions(error, _LOCKED):
            return Permanent(f"{path} is in use by another process; each agent needs an outbox of its own")
        if _mentions(error, ("unable to open",)):
            return Permanent(f"{path} cannot be opened: check that it is a file in a writable directory")
        return Temporary(f"{path}: {error}")
