"""What helps when the database is lost or the disk is full: small files beside it, none of which has to be there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Where the true sequence number is lost with a corrupt file, the next one leaves a gap this wide, so that a subscriber
# sees that something is missing; the last number known lags by at most what one crash can lose.
SEQUENCE_JUMP = 1000

# Kept free for the moment when the disk is full: the log fits into it, so that it can be moved into the database.
RESERVE_BYTES = 6 * 1024 * 1024


class Hint:
    """The last sequence number in a file of its own: not synced, and allowed to fail.

    It matters only once the database is lost. The file stays open, since opening it would cost more than the rest of
    an accept's own work does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def read(self) -> int:
        try:
            return int(self._path.read_text().strip() or 0)
        except (OSError, ValueError):
            return 0

    def write(self, sequence: int) -> None:
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            # Of one length, so that nothing of an earlier number is left behind it.
            os.pwrite(self._descriptor, b"%020d\n" % sequence, 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Reserve:
    """Room that a full disk leaves us: without it, not even a deletion could be written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self) -> None:
        """Takes the room, where there is any."""
        if not self._path.exists():
            try:
                self._path.write_bytes(bytes(RESERVE_BYTES))
            except OSError:
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def give_up(self) -> None:
        with suppress(OSError):
            self._path.unlink()
