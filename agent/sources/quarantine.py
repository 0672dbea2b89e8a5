"""Files that could not be read are kept aside, so that somebody can find out why; the user's folder stays as it is."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.core.clock import utc_now

log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 100 * 2**20

# Some 16,000 lines of the usual length: a scanner that writes rubbish for weeks must not fill the disk with lines.
MAX_JOURNAL_BYTES = 4 * 2**20


class Quarantine:
    """Copies of unreadable files, with a line for each in `quarantine.jsonl`.

    directory: where copies and lines go; None only counts.
    max_bytes: all copies together take no more; beyond that a file gets its line alone.
    """

    def __init__(
        self, directory: Path | None, max_bytes: int = DEFAULT_MAX_BYTES, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.count = 0
        """Unreadable files since the start."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._now = now

    def add(self, file: Path, reason: str) -> None:
        """Put a copy of the file aside and say why; a full or read-only disk is logged and stops nothing."""
        self.count += 1
        log.warning("unreadable file number %d: %s", self.count, reason)
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._note(file, reason, self._copy(file))
        except OSError as error:
            log.warning("cannot quarantine %s in %s: %s", file.name, self._directory, error.strerror or error)

    def _copy(self, file: Path) -> str | None:
        """Copy the file and return the name of the copy; None where it is gone or the space is used up."""
        assert self._directory is not None
        try:
            size = file.stat().st_size
        except OSError:
            return None
        used = sum(kept.stat().st_size for kept in self._directory.iterdir() if kept.is_file())
        if used + size > self._max_bytes:
            return None
        name = f"{self._now():%Y%m%dT%H%M%S.%f}-{file.name}"
        shutil.copyfile(file, self._directory / name)
        return name

    def _note(self, file: Path, reason: str, copy: str | None) -> None:
        assert self._directory is not None
        journal = self._directory / "quarantine.jsonl"
        if journal.exists() and journal.stat().st_size > MAX_JOURNAL_BYTES:
            return
        line = {"time": self._now().isoformat(), "file": str(file), "reason": reason, "copy": copy}
        with journal.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
