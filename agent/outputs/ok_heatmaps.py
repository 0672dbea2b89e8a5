"""The thread that draws and stores heatmaps of sampled ok parts, after their results: no result waits for it."""

from __future__ import annotations

import logging
import queue
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from agent.alarms import Evidence, as_captured
from agent.core.errors import InspectdError
from agent.core.records import Verdict
from agent.outputs.outbox import Outbox
from agent.outputs.output import Output

log = logging.getLogger(__name__)

OK_HEATMAPS = "ok-heatmaps"
"""Folder for copies in the state directory: `<camera>/<result id>/heatmap.png`, the oldest are deleted first."""

# Samples on their way, each with its frame. While so many wait, no other part is sampled.
MAX_WAITING = 4


@dataclass(slots=True)
class HeatmapSample:
    """An ok part whose heatmap follows its result."""

    id: str
    """Of the result."""
    verdict: Verdict
    sequence: int = 0
    """Number of the result, once it has one."""


class OkHeatmaps(threading.Thread):
    """Chooses parts at random, and sends their heatmaps once their results are stored. A failure costs the heatmap."""

    def __init__(
        self, outputs: Sequence[Output], outbox: Outbox, evidence: Evidence, chance: random.Random | None = None
    ) -> None:
        """Args:
        outputs: build the message of each heatmap.
        outbox: stores them, beside the results.
        evidence: draws them, and keeps copies for the page; of this thread alone.
        chance: decides which parts are sampled; None: one of its own.
        """
        super().__init__(name="ok-heatmaps", daemon=True)
        self._outputs = outputs
        self._outbox = outbox
        self._evidence = evidence
        self._chance = chance or random.Random()
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self._waiting: queue.SimpleQueue[HeatmapSample | None] = queue.SimpleQueue()

    def sample(self, identity: str, verdict: Verdict, every: int) -> HeatmapSample | None:
        """One ok part in `every`, to be handed over with its result of this id; None for the others. Never waits."""
        if every == 0 or self._chance.randrange(every) > 0 or not self._places.acquire(blocking=False):
            return None
        return HeatmapSample(identity, verdict)

    def draw(self, sample: HeatmapSample) -> None:
        """The result of this part is stored: its heatmap may follow. Returns at once."""
        self._waiting.put(sample)

    def finish(self, timeout_seconds: float) -> None:
        """Store what is waiting, then end; what takes longer is given up."""
        self._waiting.put(None)
        self.join(timeout_seconds)

    def run(self) -> None:
        """Draw and store until `finish`."""
        while (sample := self._waiting.get()) is not None:
            try:
                self._store(sample)
            except InspectdError as error:
                log.warning("heatmap of result %s given up: %s", sample.id, error)
            finally:
                self._places.release()

    def _store(self, sample: HeatmapSample) -> None:
        verdict = sample.verdict
        placed = as_captured(verdict.frame, verdict.heatmap)
        image = self._evidence.save_heatmap(sample.id, placed.frame, placed.heatmap)
        messages = (output.heatmap_message(verdict.frame.camera, sample.id, image) for output in self._outputs)
        found = [message for message in messages if message is not None]
        if found:
            self._outbox.add_images(verdict.frame.camera, sample.sequence, found)
