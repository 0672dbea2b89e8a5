"""A thread that delivers an output's messages one after the other: alarms first, then results, then images.

For destinations that acknowledge each message at once, such as HTTP. At least once: a message is deleted after it was
accepted, and sent again, with the same id, if that is not known. Messages of a camera keep their order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.core.backoff import Backoff
from agent.core.durations import Durations
from agent.core.errors import InspectdError, Temporary
from agent.core.problems import Problems
from agent.outputs.capture_time import CaptureTime
from agent.outputs.outbox import Outbox, Row

log = logging.getLogger(__name__)

# Waits after a failure; a destination that is down costs an attempt a minute.
RETRY_SECONDS = (1.0, 60.0)

# A destination may ask for a longer wait, up to this.
MAX_WAIT_SECONDS = 300.0

# So often a message is sent that the destination rejects, before it is given up: an error of the destination is often
# repaired within minutes.
ATTEMPTS = 3

# How often a thread without news looks for messages: deletions that a busy disk has put off.
IDLE_SECONDS = 5.0


class Rejected(Exception):
    """The destination does not accept this message, and will hardly do so later."""


class NotNow(Temporary):
    """The destination did not take the message now."""

    def __init__(self, text: str, wait_seconds: float | None = None) -> None:
        """`wait_seconds`: the destination asks to wait so long."""
        super().__init__(text)
        self.wait_seconds = wait_seconds


@dataclass(slots=True)
class Source:
    """Where messages wait, and which of them was rejected how often."""

    outbox: Outbox
    attempts: dict[int, int] = field(default_factory=dict)


class DeliveryThread(threading.Thread):
    """Delivers the rows of one output from its outboxes."""

    def __init__(
        self,
        output: str,
        outbox: Outbox,
        send: Callable[[Row], None],
        *,
        problems: Problems,
        durations: Durations,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        output: name of the rows.
        outbox: where alarms and their images wait.
        send: delivers one row. Raises Rejected for a message that is not accepted, Temporary otherwise.
        problems: where a destination that does not answer is reported.
        durations: takes the time from the capture of a frame to the acceptance of its alarm.
        clock: monotonic seconds, the clock of `Row.captured_monotonic`.
        """
        super().__init__(name=f"deliver-{output}", daemon=True)
        self._output = output
        self._alarms = Source(outbox)
        self._results: Source | None = None
        self._send = send
        self._problems = problems
        self._durations = durations
        self._backoff = Backoff(*RETRY_SECONDS)
        self._clock = clock
        self._capture_time = CaptureTime(clock)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._drain_until = 0.0
        self._accepted = False
        self._failing = False
        outbox.on_accepted.append(self._news.set)

    @property
    def connected(self) -> bool:
        """Whether the latest message was accepted."""
        return self._accepted and not self._failing

    def deliver_results(self, outbox: Outbox) -> None:
        """Deliver from this outbox too; before the start."""
        self._results = Source(outbox)
        outbox.on_accepted.append(self._news.set)

    def stop(self, deadline_seconds: float) -> bool:
        """Deliver what is possible in time, then end; True if nothing waits any more."""
        self._drain_until = self._clock() + deadline_seconds
        self._stopping.set()
        self._news.set()
        if self.is_alive():
            self.join(deadline_seconds)
        return not self.is_alive() and self._alarms.outbox.waiting(self._output) == 0

    def run(self) -> None:
        while not self._stopping.is_set() or self._clock() < self._drain_until:
            self._news.clear()
            try:
                busy = self._deliver_next()
            except InspectdError as error:
                self._failed(error)
                if self._stopping.is_set():
                    return
            except Exception:
                log.exception("output %s: unexpected error, trying again", self._output)
                self._stopping.wait(RETRY_SECONDS[0])
            else:
                if not busy and self._stopping.is_set():
                    return
                if not busy:
                    self._news.wait(IDLE_SECONDS)

    def _deliver_next(self) -> bool:
        """Deliver one message; False if none waits."""
        found = self._next()
        if found is None:
            for source in self._sources:
                if source.outbox.has_undeleted:
                    source.outbox.acknowledge(())
            return False
        source, row = found
        try:
            self._send(self._capture_time.corrected(row))
        except Rejected as rejection:
            self._reject(source, row, str(rejection))
        else:
            self._succeeded(row)
            source.attempts.pop(row.id, None)
            source.outbox.acknowledge([row.id])
        return True

    @property
    def _sources(self) -> list[Source]:
        return [self._alarms] if self._results is None else [self._alarms, self._results]

    def _next(self) -> tuple[Source, Row] | None:
        for source in self._sources:
            for row in source.outbox.next_alarms(1, output=self._output):
                return source, row
        for source in self._sources:
            for row in source.outbox.next_images(1, output=self._output):
                return source, row
        return None

    # Results of an attempt

    def _succeeded(self, row: Row) -> None:
        self._accepted = True
        if self._failing:
            log.info("output %s: messages are accepted again", self._output)
            self._problems.set(f"output {self._output}", None)
            self._failing = False
        self._backoff.reset()
        if not row.is_image and row.captured_monotonic is not None and row.sequence:
            self._durations.add(self._clock() - row.captured_monotonic)

    def _failed(self, error: InspectdError) -> None:
        """First failure WARNING, repeats DEBUG; then wait."""
        text = f"output {self._output}: {error}"
        log.log(logging.DEBUG if self._failing else logging.WARNING, "%s; messages wait in the outbox", text)
        self._failing = True
        self._problems.set(f"output {self._output}", text)
        asked = error.wait_seconds if isinstance(error, NotNow) else None
        wait = self._backoff.next_seconds() if asked is None else min(max(asked, 0.0), MAX_WAIT_SECONDS)
        self._stopping.wait(wait)

    def _reject(self, source: Source, row: Row, reason: str) -> None:
        """Try a message again that is not accepted, a few times; then give it up."""
        attempts = source.attempts[row.id] = source.attempts.get(row.id, 0) + 1
        if attempts >= ATTEMPTS:
            source.outbox.reject(row, reason)
            del source.attempts[row.id]
            self._backoff.reset()
            return
        raise NotNow(f"{row.part} of {row.alarm} is rejected ({attempts} of {ATTEMPTS} attempts): {reason}")
