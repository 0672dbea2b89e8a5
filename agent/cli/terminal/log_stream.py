"""The log on a stream, written by a thread of its own: a reader that stops never stops inspection.

A pipe holds 64 KiB. When a journal hangs or a pager is paused, a program that writes its log itself blocks at
the next line: the cameras, the alarms and the connection to the broker with it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque

FLUSH_SECONDS = 1.0
"""For how long the end of the program waits for its last lines to be read."""


class BackgroundStreamHandler(logging.Handler):
    """Writes log lines to a stream in a thread; holds up to `capacity` lines, then drops new ones and counts them.

    The first line after a gap says how many are missing. `flush` returns after `FLUSH_SECONDS` at the latest.
    """

    def __init__(self, descriptor: int, capacity: int = 10_000) -> None:
        """Write to a copy of an open descriptor: a Python stream would be locked as long as the thread waits in it."""
        super().__init__()
        self._descriptor = os.dup(descriptor)
        self._capacity = capacity
        self._lines: deque[str] = deque()
        self._dropped = 0
        self._writing = False
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and queue its line; never waits for the stream."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        self.write_line(line)

    def write_line(self, line: str) -> None:
        """Queue a line as it is; never waits for the stream."""
        with self._changed:
            if len(self._lines) >= self._capacity:
                self._dropped += 1
                return
            if self._dropped:
                self._lines.append(self._gap())
            self._lines.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all lines are written, for `FLUSH_SECONDS` at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._writing, FLUSH_SECONDS)

    def _gap(self) -> str:
        """The line in place of those that were dropped."""
        lost, self._dropped = self._dropped, 0
        message = "%d log lines are missing here: they were not read in time"
        return self.format(logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, (lost,), None))

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                lines = list(self._lines)
                self._lines.clear()
                self._writing = True
            left = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
            with contextlib.suppress(OSError):  # The reader is gone for good; there is nowhere left to report it.
                while left:
                    left = left[os.write(self._descriptor, left) :]
            with self._changed:
                self._writing = False
                self._changed.notify_all()
