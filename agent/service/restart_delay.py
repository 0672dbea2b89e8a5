"""How long to wait before a start: not at all after a single failure, longer and longer while every start fails.

systemd's own growing delay (RestartSteps=, from version 254) counts every restart since boot: an agent that was killed
five times in a year would start slowly from then on. Here a start that leads to inspection resets the count.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

MAX_DELAY_SECONDS = 60.0


class RestartDelay:
    """Counts failed starts in a row, in a file that outlives the process but not a reboot. Never raises."""

    def __init__(self, directory: Path | None) -> None:
        """`directory`: one that survives a restart of the service (systemd's RuntimeDirectoryPreserve=restart).

        None: nothing is counted, and there is no delay.
        """
        self._file = None if directory is None else directory / "starts"

    def begin(self) -> float:
        """Count this start as failed until `reset`; returns how long to wait before it, seconds."""
        starts = self._read()
        self._write(starts + 1)
        return delay_seconds(starts)

    def reset(self) -> None:
        """This start led to inspection, or the agent ended as intended: the next start counts as the first."""
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
    """Delay before the start that follows so many failed ones in a row; the first failure costs nothing.

    >>> [delay_seconds(failures) for failures in (0, 1, 2, 3, 4, 8, 1000)]
    [0.0, 0.0, 1.0, 2.0, 4.0, 60.0, 60.0]
    """
    return 0.0 if failures < 2 else min(2.0 ** min(failures - 2, 10), MAX_DELAY_SECONDS)
