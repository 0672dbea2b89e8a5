"""Writes the history on a thread of its own: a slow database delays neither the broker nor the page."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from agent.core.errors import Temporary
from agent.fleet.history.database import Database
from agent.fleet.history.entries import Entry, login_entry

log = logging.getLogger(__name__)

# One commit a second, whatever arrives.
WRITE_SECONDS = 1.0
PRUNE_SECONDS = 600.0

# While the database cannot be written. A thousand agents with ten alarms an hour each fill it in an hour.
MOST_WAITING = 20_000


class HistoryWriter:
    """Keeps entries until they are written; beyond a limit the oldest are dropped. Any thread may call `add`."""

    def __init__(self, database: Database, *, days: float, most: int) -> None:
        """`days` and `most`: the limits of the history."""
        self._database = database
        self._days = days
        self._most = most
        self._waiting: deque[Entry] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self.dropped = 0
        self.problem: str | None = None
        """Why nothing can be written; None while it can be."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end the thread, within five seconds."""
        self._stopping.set()
        self._thread.join(5.0)

    def add(self, entry: Entry) -> None:
        """Write this within a second or two."""
        self._waiting.append(entry)

    def _run(self) -> None:
        pruned = 0.0
        while not self._stopping.wait(WRITE_SECONDS):
            self._write()
            if not pruned or time.monotonic() - pruned > PRUNE_SECONDS:
                pruned = time.monotonic()
                self._prune()
        self._write()

    def _write(self) -> None:
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not taken and self.problem is None:
            return
        try:
            self._database.write(taken)
        except Temporary as error:
            self._waiting.extendleft(reversed(taken))
            (log.debug if self.problem else log.warning)("%s; entries wait in memory", error)
            self.problem = str(error)
        else:
            if self.problem is not None:
                log.info("history %s can be written again", self._database.name)
            self.problem = None

    def _prune(self) -> None:
        try:
            while self._database.prune(days=self._days, most=self._most) and not self._stopping.is_set():
                pass
        except Temporary as error:
            log.debug("%s", error)


class LoginsInHistory:
    """Notes who has logged in, for the server of `agent.page`."""

    def __init__(self, writer: HistoryWriter) -> None:
        self._writer = writer

    def add(self, event: str, person: str, address: str, role: str | None = None) -> None:
        """`event`: login, logout or login failed."""
        self._writer.add(login_entry(event, person, address, role, time.time()))
