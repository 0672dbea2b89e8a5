"""Keeps copies of files that cannot be inspected, so that the cause can be found; the user's folder is not changed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.core.clock import utc_now
from agent.core.durable_file import disk_reason

log = logging.getLogger(__name__)

QUARANTINE_MAX_BYTES = 100 * 2**20

# About 16,000 lines of the usual length: a scanner that writes garbage for weeks must not fill the disk with lines.
MAX_JOURNAL_BYTES = 4 * 2**20


class Quarantine:
    """Copies of files that cannot be read or do not fit the model, with one line for each in `quarantine.jsonl`.

    directory: of the copies and the lines; None only counts.
    max_bytes: limit for all copies together; beyond it a file gets a line and no copy.
    """

    def __init__(
        self, directory: Path | None, max_bytes: int = QUARANTINE_MAX_BYTES, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.count = 0
        """Files since the start."""
        self.latest: str | None = None
        """The latest file and its reason, one line."""
        self._copied: tuple[Path, int, int] | None = None
        """The file that was copied last, with its size and time."""
        self._copy_name: str | None = None
        self._directory = directory
        self._max_bytes = max_bytes
        self._now = now

    def add(self, file: Path, reason: str, *, copy: bool = True) -> None:
        """Keep a copy of the file, unless `copy` is False, with the reason. A disk error is logged, never raised."""
        self.count += 1
        self.latest = reason
        log.warning("file in quarantine, number %d since the start: %s", self.count, reason)
        if self._directory is None:
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._add_line(file, reason, self._copy(file) if copy else None)
        except OSError as error:
            reason = disk_reason(error, self._directory)
            log.warning("cannot quarantine %s in %s: %s", file.name, self._directory, reason)

    def _copy(self, file: Path) -> str | None:
        """Copy the file and return the name of the copy; None if it is gone or a link, or there is no space left.

        Of several images in a file, the first takes a copy of it along.
        """
        assert self._directory is not None
        try:
            status = file.lstat()
        except OSError:
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        version = (file, status.st_size, status.st_mtime_ns)
        if version == self._copied:
            return self._copy_name
        self._copied, self._copy_name = version, None
        used = sum(kept.stat().st_size for kept in self._directory.iterdir() if kept.is_file())
        if used + status.st_size > self._max_bytes:
            return None
        name = f"{self._now():%Y%m%dT%H%M%S.%f}-{file.name}"
        # Readable by the agent alone, and not by following a link that took the file's place meanwhile.
        try:
            with (
                open(file, "rb", opener=_no_links) as source,
                open(self._directory / name, "xb", opener=_private) as copy,
            ):
                shutil.copyfileobj(source, copy)
        except OSError:
            (self._directory / name).unlink(missing_ok=True)
            raise
        self._copy_name = name
        return name

    def _add_line(self, file: Path, reason: str, copy: str | None) -> None:
        assert self._directory is not None
        journal = self._directory / "quarantine.jsonl"
        if journal.exists() and journal.stat().st_size > MAX_JOURNAL_BYTES:
            return
        line = {"time": self._now().isoformat(), "file": str(file), "reason": reason, "copy": copy}
        with open(journal, "a", encoding="utf-8", opener=_private) as out:
            out.write(json.dumps(line) + "\n")


def _no_links(path: str, flags: int) -> int:
    """Opens for `open`; fails for a link."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _private(path: str, flags: int) -> int:
    """Opens for `open`; a new file can be read by its owner only."""
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
