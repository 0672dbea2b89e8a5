"""The thread that makes the results of parts durable. Results have an outbox of their own: alarms never wait for it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.core.backoff import Backoff
from agent.core.errors import Temporary
from agent.core.ids import new_id
from agent.core.records import Part
from agent.messages import ModelPayload
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.output import Output, RecordedResult
from agent.outputs.recorder import RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS

log = logging.getLogger(__name__)

# Results that may wait for the disk, half a kilobyte each. If there are more, inspection waits.
MAX_WAITING = 2000

# Results that share a commit. A commit that syncs takes milliseconds, whatever it holds; one result alone is committed
# at once.
MAX_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class _Job:
    part: Part
    id: str
    latency_seconds: float
    model: ModelPayload
    engine: str


class ResultRecorder(threading.Thread):
    """Stores results in their outbox, in order; those that wait at the same time share a commit."""

    def __init__(
        self,
        site: str,
        outputs: Sequence[Output],
        outbox: Outbox,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        site: name of the site.
        outputs: build the message of each result.
        outbox: stores them; another one than that of the alarms.
        clock: monotonic seconds.
        """
        super().__init__(name="result-recorder", daemon=True)
        self._site = site
        self._outputs = outputs
        self._outbox = outbox
        self._jobs: queue.Queue[_Job | Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._giving_up = threading.Event()
        self._clock = clock

    def put(self, part: Part, model: ModelPayload, engine: str) -> None:
        """Hand over a part that is judged, or will not be; waits while too many are waiting already."""
        latency_seconds = self._clock() - part.started_monotonic
        self._jobs.put(_Job(part, part.id or new_id(), latency_seconds, model, engine))

    def when_stored(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on this thread once every result handed over before is stored; waits like `put`.

        If the agent ends before that, it is not called.
        """
        self._jobs.put(callback)

    def finish(self, timeout_seconds: float) -> bool:
        """Store what is waiting, then end; False if that took too long (a full disk) and results were lost."""
        try:
            self._jobs.put(None, timeout=timeout_seconds)
        except queue.Full:
            return False
        self.join(timeout_seconds)
        self._giving_up.set()
        return not self.is_alive()

    def run(self) -> None:
        """Store results until `finish`."""
        last = False
        while not last:
            group, callbacks, last = self._next_group()
            if group and not self._store(group):
                return
            for callback in callbacks:
                callback()

    def _next_group(self) -> tuple[list[Entry], list[Callable[[], None]], bool]:
        """The next result and the others that are waiting; what to call once they are stored; and whether to end."""
        group: list[Entry] = []
        callbacks: list[Callable[[], None]] = []
        while len(group) < MAX_TOGETHER and len(callbacks) < MAX_TOGETHER:
            try:
                job = self._jobs.get(block=not group and not callbacks)
            except queue.Empty:
                break
            if job is None:
                return group, callbacks, True
            if isinstance(job, _Job):
                group.append(self._entry(job))
            else:
                callbacks.append(job)
        return group, callbacks, False

    def _store(self, group: list[Entry]) -> bool:
        """Try until it succeeds, a full disk included. False: the agent ends."""
        backoff = Backoff(RETRY_FIRST_SECONDS, RETRY_MAX_SECONDS)
        while not self._giving_up.is_set():
            try:
                self._outbox.accept_together(group)
            except Temporary as error:
                log.warning("%d results wait: %s", len(group), error)
                self._giving_up.wait(backoff.next_seconds())
            else:
                return True
        return False

    def _entry(self, job: _Job) -> Entry:
        def build(sequence: int) -> list[Message]:
            recorded = RecordedResult(
                job.part,
                job.id,
                sequence,
                self._site,
                job.latency_seconds,
                job.model,
                job.engine,
                epoch=self._outbox.epoch,
            )
            messages = (output.result_message(recorded) for output in self._outputs)
            return [message for message in messages if message is not None]

        return Entry(job.part.camera, build)
