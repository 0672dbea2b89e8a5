"""The thread that makes the results of parts durable. Results have an outbox of their own: alarms never wait for it."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent.core.clock import utc_now
from agent.core.errors import Temporary
from agent.core.ids import new_id
from agent.core.records import Part, PartVerdict, Verdict
from agent.messages import ModelPayload
from agent.outputs.group_recorder import GroupRecorder, Waiting
from agent.outputs.ok_heatmaps import HeatmapSample, OkHeatmaps
from agent.outputs.outbox import Entry, Message, Outbox
from agent.outputs.output import Output, RecordedResult
from agent.outputs.part_counts import PartCounts
from agent.outputs.part_log import PartLog
from agent.outputs.views import ViewJoiner

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
    at: datetime
    """Time of the result, UTC."""
    sample: HeatmapSample | None = None
    """Its heatmap follows; None for most parts."""


class ResultRecorder(GroupRecorder[_Job]):
    """Stores results in their outbox, in order; those that wait at the same time share a commit."""

    def __init__(
        self,
        site: str,
        outputs: Sequence[Output],
        outbox: Outbox,
        *,
        counts: PartCounts | None = None,
        part_log: PartLog | None = None,
        joiner: ViewJoiner | None = None,
        heatmaps: OkHeatmaps | None = None,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        site: name of the site.
        outputs: build the message of each result.
        outbox: stores them; another one than that of the alarms.
        counts: counts them; None: nobody asks for numbers.
        part_log: notes them; None: nobody looks them up.
        joiner: joins those of several cameras; None: no two cameras see the same part.
        heatmaps: draws those of sampled parts; None: no part is sampled.
        now: wall clock, UTC.
        clock: monotonic seconds.
        """
        super().__init__(
            "result-recorder", "results", outbox, max_waiting=MAX_WAITING, max_together=MAX_TOGETHER, clock=clock
        )
        self._site = site
        self._outputs = outputs
        self._counts = counts
        self._part_log = part_log
        self._joiner = joiner
        self._heatmaps = heatmaps
        self._samples: list[HeatmapSample] = []
        """Of the results that are being stored."""
        self._now = now

    def run(self) -> None:
        """Store until `finish`."""
        if self._joiner is not None:
            self._joiner.begin()
        super().run()

    def put(
        self,
        part: Part,
        model: ModelPayload,
        engine: str,
        identity: str | None = None,
        verdict: Verdict | None = None,
        ok_heatmap_every: int = 0,
    ) -> None:
        """Hand over a part that is judged, or will not be; waits while too many are waiting already.

        Args:
            part: with its verdict.
            model: the one that scored it.
            engine: name of the engine that ran it.
            identity: UUIDv7 of the result; None: a new one.
            verdict: of the frame that stands for it; None where it was not judged.
            ok_heatmap_every: the heatmap of one ok part in so many follows its result; 0: of none.
        """
        latency_seconds = self._clock() - part.started_monotonic
        identity = identity or part.id or new_id()
        sample = None
        if self._heatmaps is not None and verdict is not None and part.verdict is PartVerdict.OK:
            sample = self._heatmaps.sample(identity, verdict, ok_heatmap_every)
        self._jobs.put(Waiting(_Job(part, identity, latency_seconds, model, engine, self._now(), sample)))

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
                heatmap=job.sample is not None,
            )
            if job.sample is not None:
                job.sample.sequence = sequence
            messages = (output.result_message(recorded) for output in self._outputs)
            return [message for message in messages if message is not None]

        notes = [] if self._part_log is None else [self._part_log.noting(job.part, job.id)]
        if self._counts is not None:
            notes.append(self._counts.counting(job.part, job.id, job.at))

        def note(db: sqlite3.Connection) -> None:
            for each in notes:
                each(db)

        if job.sample is not None:
            self._samples.append(job.sample)
        follows = None if self._joiner is None else self._joiner.following(job.part, job.id)
        return Entry(job.part.camera, build, also=note, follows=follows)

    def _wait_seconds(self) -> float | None:
        return None if self._joiner is None else self._joiner.wait_seconds

    def _waited(self) -> None:
        if self._joiner is not None:
            self._joiner.expire()
            self._refresh_counts()

    def _stored(self) -> None:
        if self._heatmaps is not None:
            for sample in self._samples:
                self._heatmaps.draw(sample)
        self._samples.clear()
        if self._joiner is not None:
            self._joiner.committed()
        self._refresh_counts()

    def _refresh_counts(self) -> None:
        if self._counts is not None:
            try:
                self._counts.refresh()
            except Temporary as error:
                log.debug("parts in numbers: %s", error)
