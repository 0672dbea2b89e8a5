"""The file of the review: SQLite with durable commits, which another process may read while the agent writes.

A rollback journal instead of a write-ahead log: no files remain beside the database, so that a reader without the
right to write can open it while the agent is stopped. Commits are synced (`synchronous=FULL`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from agent.core.durable_file import disk_reason, is_disk_full
from agent.core.errors import Permanent, Temporary

log = logging.getLogger(__name__)

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS alarm (
    id TEXT PRIMARY KEY, camera TEXT NOT NULL, kind TEXT NOT NULL, raised_at TEXT NOT NULL, cleared_at TEXT,
    frame INTEGER, score REAL, peak REAL, threshold REAL, rule TEXT, calibration TEXT, bundle TEXT, engine TEXT,
    origin TEXT, reason TEXT, crop TEXT, product TEXT, seconds REAL NOT NULL DEFAULT 0,
    frames INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS alarm_order ON alarm (raised_at, id);
CREATE INDEX IF NOT EXISTS alarm_calibration ON alarm (camera, calibration);
CREATE TABLE IF NOT EXISTS judgement (
    number INTEGER PRIMARY KEY AUTOINCREMENT, alarm TEXT NOT NULL, verdict TEXT NOT NULL, by TEXT NOT NULL,
    at TEXT NOT NULL, note TEXT, defect TEXT, published INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS judgement_alarm ON judgement (alarm, number);
CREATE TABLE IF NOT EXISTS life (
    camera TEXT NOT NULL, calibration TEXT NOT NULL, seconds REAL NOT NULL, frames INTEGER NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (camera, calibration));
CREATE TABLE IF NOT EXISTS reservoir (camera TEXT PRIMARY KEY, shift INTEGER NOT NULL, seen INTEGER NOT NULL);
"""

# Files of earlier releases lack it. A reader that may not write sees it in a view of its own.
_ADD_PRODUCT = "ALTER TABLE alarm ADD COLUMN product TEXT"
_SHOW_PRODUCT = "CREATE TEMP VIEW alarm AS SELECT *, NULL AS product FROM main.alarm"

# How long a reader or a writer waits for the other.
_LOCKED_SECONDS = 5.0

_CORRUPT = ("file is not a database", "malformed", "file is encrypted")


class ReviewDatabase:
    """One connection, used by one thread at a time; any thread may call. Raises only Temporary and Permanent."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the file, or create it; a corrupt one is set aside and replaced by a new one.

        With `read_only`, nothing is written. Raises Permanent if there is no such file then.
        """
        self.path = path
        self._lock = threading.RLock()
        self._read_only = read_only
        if read_only and not path.is_file():
            raise Permanent(f"{path}: no such file; wanted the state directory of an agent that has raised alarms")
        self._connection = self._guarded(self._open)

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction and commit it, durably; an exception in it rolls it back."""

        def transaction() -> T:
            with self._connection:
                return work(self._connection)

        with self._lock:
            return self._guarded(transaction)

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which only reads."""
        with self._lock:
            return self._guarded(lambda: work(self._connection))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._read_only:
            connection = sqlite3.connect(f"file:{_quoted(self.path)}?mode=ro", uri=True, timeout=_LOCKED_SECONDS)
            if _lacks_product(connection):
                connection.execute(_SHOW_PRODUCT)
            return connection
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._prepared()
        except sqlite3.DatabaseError as error:
            if not any(phrase in str(error).lower() for phrase in _CORRUPT):
                raise
            aside = self.path.with_name(f"{self.path.name}.corrupt-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}")
            self.path.replace(aside)
            log.warning("%s was corrupt: set aside as %s; alarms and judgements in it are not listed", self.path, aside)
            return self._prepared()

    def _prepared(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_LOCKED_SECONDS, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA quick_check(1)").fetchone()
            connection.executescript(SCHEMA)
            if _lacks_product(connection):
                connection.execute(_ADD_PRODUCT)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.OperationalError as error:
            raise Temporary(f"{self.path}: {disk_reason(error, self.path.parent)}") from None
        except sqlite3.DatabaseError as error:
            raise Permanent(f"{self.path}: {error}") from None
        except OSError as error:
            kind = Temporary if is_disk_full(error) else Permanent
            raise kind(f"{self.path}: {disk_reason(error, self.path.parent)}") from None


def _lacks_product(connection: sqlite3.Connection) -> bool:
    columns = [row[1] for row in connection.execute("PRAGMA table_info(alarm)")]
    return bool(columns) and "product" not in columns


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
