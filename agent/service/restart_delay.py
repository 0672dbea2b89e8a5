"""How long to wait before another start: not at all after a mishap, longer and longer while no start succeeds.

systemd's own growing delay (RestartSteps=, from 254) counts every restart since boot, so that an agent killed five
times in a year would be slow to arm for ever after. Here a start that led to inspection wipes the slate.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MAX_DELAY_SECONDS = 60.0


class RestartDelay:
    """Counts starts in a row that came to nothing, in a file that outlives the process but not the machine's uptime."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: kept from start to start, systemd's RuntimeDirectoryPreserve=restart; None: nothing is kept."""
        self._file = None if directory is None else directory / "starts"

    def begin(self) -> float:
        """Count this start; how long to wait first, seconds."""
        starts = self._read()
        self._write(starts + 1)
        return delay_seconds(starts)

    def forget(self) -> None:
        """This start led to inspection, or to a clean end: the next one is the first again."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink()

    def _read(self) -> int:
        try:
            return 0 if self._file is None else int(self._file.read_text())
        except (OSError, ValueError):
            return 0

    def _write(self, starts: int) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.write_text(f"{starts}\n")


def delay_seconds(failures: int) -> float:
    """Before the start that follows so many failed ones in a row; the first of them costs nothing.

    >>> [delay_seconds(failures) for failures in (0, 1, 2, 3, 4, 8, 1000)]
    [0.0, 0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
    """
    return 0.0 if failures < 2 else min(2.0 ** min(failures - 2, 10), MAX_DELAY_SECONDS)
