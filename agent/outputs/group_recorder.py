"""A thread that makes alarms or results durable, in order; what waits at the same time shares a commit."""

from __future__ import annotations

import logging
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from agent.core.backoff import Backoff
from agent.core.errors import Temporary
from agent.outputs.outbox import Entry, Outbox

log = logging.getLogger(__name__)

# Waits between attempts to store while the disk fails.
_RETRY_FIRST_SECONDS = 0.1
_RETRY_MAX_SECONDS = 5.0

_Job = TypeVar("_Job")


@dataclass(frozen=True, slots=True)
class Waiting(Generic[_Job]):
    """A job that was handed over and is not stored yet."""

    job: _Job


class GroupRecorder(threading.Thread, ABC, Generic[_Job]):
    """Stores entries in an outbox, in the order of their jobs."""

    def __init__(
        self,
        name: str,
        what: str,
        outbox: Outbox,
        *,
        max_waiting: int,
        max_together: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        name: of the thread.
        what: is stored, for the log: `alarms`.
        outbox: stores the entries.
        max_waiting: jobs that may wait; handing over another one waits.
        max_together: entries that share a commit, and callbacks that wait for it.
        clock: monotonic seconds.
        """
        super().__init__(name=name, daemon=True)
        self._what = what
        self._outbox = outbox
        self._clock = clock
        self._max_together = max_together
        self._jobs: queue.Queue[Waiting[_Job] | Callable[[], None] | None] = queue.Queue(max_waiting)
        self._giving_up = threading.Event()
        self._commit_seconds = 0.0
        """Duration of the latest commit."""

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on this thread once everything handed over before is stored; waits if too much waits.

        If the agent ends before that, it is not called.
        """
        self._jobs.put(callback)

    def finish(self, timeout_seconds: float) -> bool:
        """Store what is waiting, then end; False if that took too long (a full disk) and some of it was lost."""
        try:
            self._jobs.put(None, timeout=timeout_seconds)
        except queue.Full:
            return False
        self.join(timeout_seconds)
        self._giving_up.set()
        return not self.is_alive()

    def run(self) -> None:
        """Store until `finish`."""
        last = False
        while not last:
            group, callbacks, last = self._next_group()
            if group and not self._store(group):
                return
            for callback in callbacks:
                callback()
            self._waited()

    @abstractmethod
    def _entry(self, job: _Job) -> Entry:
        """Build the entry of a job."""

    def _stored(self) -> None:
        """A group is committed."""

    def _wait_seconds(self) -> float | None:
        """How long to wait for a job at most, until `_waited`; None: as long as it takes."""
        return None

    def _waited(self) -> None:
        """Called after each group, and when this time is over."""

    def _enough(self, building_seconds: float) -> bool:
        """Whether a group is committed now, whose entries took this long to build, although more may wait."""
        return False

    def _next_group(self) -> tuple[list[Entry], list[Callable[[], None]], bool]:
        """The next entry and the others that wait; what to call once they are stored; and whether `finish` came."""
        group: list[Entry] = []
        callbacks: list[Callable[[], None]] = []
        begun, wait_seconds = self._clock(), self._wait_seconds()
        while len(group) < self._max_together and len(callbacks) < self._max_together:
            try:
                job = self._jobs.get(block=not group and not callbacks, timeout=wait_seconds)
            except queue.Empty:
                break
            if job is None:
                return group, callbacks, True
            if not isinstance(job, Waiting):
                callbacks.append(job)
                continue
            begun = begun if group else self._clock()
            group.append(self._entry(job.job))
            if self._enough(self._clock() - begun):
                break
        return group, callbacks, False

    def _store(self, group: list[Entry]) -> bool:
        """Try until it succeeds: nothing is given up because a disk is full for a while. False: the agent ends."""
        backoff = Backoff(_RETRY_FIRST_SECONDS, _RETRY_MAX_SECONDS)
        while not self._giving_up.is_set():
            begun = self._clock()
            try:
                self._outbox.accept_together(group)
            except Temporary as error:
                log.warning("%d %s wait: %s", len(group), self._what, error)
                self._giving_up.wait(backoff.next_seconds())
            else:
                self._commit_seconds = self._clock() - begun
                self._stored()
                return True
        return False
