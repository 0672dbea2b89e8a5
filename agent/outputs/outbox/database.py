"""A small SQLite database that one process owns: durable commits, clear errors, and a way out of a corrupt file.

WAL with `synchronous=FULL`: a commit returns after the log was synced, so what was committed survives a power cut
(https://www.sqlite.org/pragma.html#pragma_synchronous). The file is locked exclusively: a second agent is told so.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from agent.core.errors import InspectdError, Permanent, Temporary

log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# The log is moved into the database from this size on. It keeps that much on disk: a commit then overwrites the log
# from its start instead of growing it, which matters when the disk is full.
LOG_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 4096

# Free pages kept for the next alarms, and given back at a time: 4 MB.
FREE_PAGES = 1024

_CORRUPT = ("file is not a database", "malformed", "file is encrypted")
_FULL = ("database or disk is full",)
_READ_ONLY = ("readonly", "read-only")
_LOCKED = ("locked", "busy")


def _says(error: sqlite3.Error, phrases: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(phrase in text for phrase in phrases)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Not `executescript`, which would commit first."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


class DiskFull(Temporary):
    """There is no room for a commit."""


class Database:
    """Runs one transaction after the other on a file; any thread may call. Raises `Temporary` and `Permanent` only."""

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        on_new_file: Callable[[sqlite3.Connection, Path | None], None],
        upgrades: Sequence[str] = (),
    ) -> None:
        """Args:
        schema: the statements that make the tables of a new file.
        on_new_file: `on_new_file(connection, aside)` fills it; `aside` is the corrupt one that it replaces, if any.
        upgrades: the statements that lead from each version of the schema to the next, beginning with version 0.
        """
        self._path = path
        self._schema = schema
        self._upgrades = upgrades
        self._on_new_file = on_new_file
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with self._lock:
            self._connection = self._open()

    @property
    def path(self) -> Path:
        return self._path

    def transaction(self, work: Work[T], *, durable: bool = True) -> T:
        """What `work` returns, committed. `durable` False spares the sync: after a power cut the commit may be undone.

        Anything that `work` raises undoes it. A corrupt file is set aside and `work` runs again in a new one.
        """
        return self._twice(lambda connection: self._commit(connection, work, durable))

    def read(self, work: Work[T]) -> T:
        """What `work` returns, which only reads. A corrupt file is set aside and `work` runs again in a new one."""
        return self._twice(work)

    def checkpoint(self) -> None:
        """Moves the log into the database, so that the log is written from its start again; failure does not matter."""
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
                except sqlite3.Error as error:
                    log.debug("checkpoint of %s: %s", self._path, error)

    def shrink(self, *, keep_pages: int = FREE_PAGES) -> None:
        """Gives some of the free pages back to the file system; `keep_pages` or fewer are kept for what comes next."""
        with self._lock:
            connection = self._connection
            if connection is None or connection.execute("PRAGMA freelist_count").fetchone()[0] <= keep_pages:
                return
            try:
                # Not `execute`, which takes the first step of this statement only: one page.
                connection.executescript(f"PRAGMA incremental_vacuum({FREE_PAGES})")
            except sqlite3.Error as error:
                log.debug("shrinking %s: %s", self._path, error)

    def bytes_on_disk(self) -> int:
        """Size of the database and its log, bytes."""
        files = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _twice(self, work: Work[T]) -> T:
        with self._lock:
            try:
                return work(self._opened())
            except sqlite3.DatabaseError as error:
                if not _says(error, _CORRUPT):
                    raise self._explained(error) from error
                self._renew(error)
            try:
                return work(self._opened())
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise Permanent(f"{self._path} is closed")
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

    def _open(self) -> sqlite3.Connection:
        self._make_directory()
        try:
            return self._connect(aside=None)
        except sqlite3.DatabaseError as error:
            if not _says(error, _CORRUPT):
                raise self._explained(error) from error
            aside = self._set_aside(error)
        try:
            return self._connect(aside)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def _make_directory(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Permanent(f"cannot make {self._path.parent}: {error.strerror}") from error

    def _connect(self, aside: Path | None) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=0.5)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # Debian builds SQLite to overwrite what is deleted: deleting would then cost as much as inserting did.
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

    def _check(self, connection: sqlite3.Connection) -> None:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"malformed: {verdict}")

    def _prepare(self, connection: sqlite3.Connection, aside: Path | None) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                _run(connection, self._schema)
                connection.execute(f"PRAGMA user_version = {len(self._upgrades)}")
                self._on_new_file(connection, aside)
            else:
                self._upgrade(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(self._upgrades):
            known = len(self._upgrades)
            raise Permanent(f"{self._path} is of version {version}, this inspectd knows {known}: install the newer one")
        for statements in self._upgrades[version:]:
            _run(connection, statements)
        if version < len(self._upgrades):
            connection.execute(f"PRAGMA user_version = {len(self._upgrades)}")
            log.info("%s: brought from version %d to %d", self._path, version, len(self._upgrades))

    def _renew(self, error: sqlite3.DatabaseError) -> None:
        self.close()
        aside = self._set_aside(error)
        try:
            self._connection = self._connect(aside)
        except sqlite3.Error as again:
            raise self._explained(again) from again

    def _set_aside(self, error: sqlite3.DatabaseError) -> Path:
        """Renames the file and its log, so that somebody can look at them; returns the new name."""
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        aside = self._path.with_name(f"{self._path.name}.corrupt-{stamp}")
        try:
            self._path.rename(aside)
            for suffix in ("-wal", "-shm"):
                companion = self._path.with_name(self._path.name + suffix)
                if companion.exists():
                    companion.rename(aside.with_name(aside.name + suffix))
        except OSError as trouble:
            raise Permanent(f"{self._path} is corrupt and cannot be set aside: {trouble.strerror}") from trouble
        log.error("%s is corrupt (%s): set aside as %s, a new one is begun", self._path, error, aside.name)
        return aside

    def _explained(self, error: sqlite3.Error) -> InspectdError:
        """The error as one line that somebody can act on."""
        path = self._path
        if _says(error, _FULL):
            return DiskFull(f"{path}: the disk is full; free some space on {path.parent}")
        if _says(error, _READ_ONLY) or not os.access(path.parent, os.W_OK):
            return Temporary(f"{path} cannot be written: the disk or the file is read-only")
        if _says(error, _LOCKED):
            return Permanent(f"{path} is in use by another process; one outbox serves one agent")
        if _says(error, ("unable to open",)):
            return Permanent(f"{path} cannot be opened: check that it is a file in a writable directory")
        return Temporary(f"{path}: {error}")
