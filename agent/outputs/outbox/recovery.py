"""What helps when the database is lost or the disk is full: small files beside the database, all of them optional."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

# If the true sequence number is lost with a corrupt file, the next number leaves a gap this wide, so that a subscriber
# sees that something is missing; the last known number lags by at most what one crash can lose.
SEQUENCE_JUMP = 1000

# Kept free for a full disk: the log fits into it, so that it can be moved into the database.
RESERVE_BYTES = 6 * 1024 * 1024


class SequenceFile:
    """The latest sequence number in a file of its own, not synced; writing may fail.

    It is needed only if the database is lost. The file stays open: opening it would cost more than everything else
    that `accept` does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> int:
        """The number; 0 if there is none."""
        try:
            return int(self._path.read_text().strip() or 0)
        except (OSError, ValueError):
            return 0

    def write(self, sequence: int) -> None:
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Fixed length, so that it overwrites the earlier number completely.
            os.pwrite(self._descriptor, b"%020d\n" % sequence, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Reserve:
    """Disk space that is released when the disk is full: without it, not even a deletion could be written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def allocate(self) -> None:
        """Take the space, if there is any."""
        if not self._path.exists():
            try:
                self._path.write_bytes(bytes(RESERVE_BYTES))
            except OSError:
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def release(self) -> None:
        with suppress(OSError):
            self._path.unlink()


class WarnOnce:
    """Logs each subject once at WARNING until it is over: a day without a broker is one line."""

    def __init__(self) -> None:
        self._active: set[str] = set()

    def warn(self, subject: str, text: str) -> None:
        """Log "subject: text" at WARNING, and repeats at DEBUG."""
        log.log(logging.DEBUG if subject in self._active else logging.WARNING, "%s: %s", subject, text)
        self._active.add(subject)

    def over(self) -> None:
        """Everything is delivered: log each subject as resolved, and warn of it again the next time."""
        for subject in sorted(self._active):
            log.info("%s: resolved, everything that was kept is delivered", subject)
        self._active.clear()
