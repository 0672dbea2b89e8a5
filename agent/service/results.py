"""The results of parts: their own outbox, and the thread that fills it."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agent.alarms import Evidence
from agent.core.clock import utc_now
from agent.core.problems import Problems
from agent.messages import ViewGroupPayload
from agent.monitoring import shift_payload
from agent.outputs import OK_HEATMAPS, OkHeatmaps, Output, PartCounts, PartLog, ResultRecorder, ViewGroup, ViewJoiner
from agent.outputs.outbox import Outbox
from agent.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Results:
    """What takes the results of parts."""

    outbox: Outbox
    """They wait here, apart from the alarms."""
    recorder: ResultRecorder
    """Commits them on its own thread."""
    counts: PartCounts
    """Counts them."""
    log: PartLog
    """The latest ones."""
    joiner: ViewJoiner
    """Joins those of cameras that see the same part."""
    heatmaps: OkHeatmaps
    """Draws those of sampled ok parts."""
    outputs: Sequence[Output]
    """What they are published by."""

    def start(self) -> None:
        """Start the threads."""
        self.recorder.start()
        self.heatmaps.start()

    def finish(self, timeout_seconds: float) -> None:
        """Store what is waiting, then end the threads; results that are lost are logged."""
        deadline = time.monotonic() + timeout_seconds
        if not self.recorder.finish(timeout_seconds):
            log.error("results were lost: they could not be written to disk within %.1f s", timeout_seconds)
        self.heatmaps.finish(max(0.0, deadline - time.monotonic()))

    def adopt(self, settings: Settings) -> None:
        """Join by the groups of these settings once every result before is stored: soon, unless the disk is full."""
        groups = groups_of(settings)
        if groups == self.joiner.groups:
            return

        def change() -> None:
            self.joiner.adopt(groups)
            _announce(self.outputs, groups)

        self.recorder.when_stored(change)

    def view_groups(self) -> dict[str, ViewGroupPayload]:
        """What becomes of the parts of each group, by its name, for `status`."""
        now, counts = utc_now(), self.joiner.counts
        return {
            group.name: ViewGroupPayload(
                cameras=list(group.cameras),
                waiting=counts[group.name].waiting,
                late_views=counts[group.name].late_views,
                shift_parts=shift_payload(self.counts.shift(group.place, now)),
                latest=counts[group.name].latest,
            )
            for group in self.joiner.groups
        }


def open_results(settings: Settings, outputs: Sequence[Output], problems: Problems) -> Results | None:
    """Open the outbox of results, where a camera has parts or results wait from an earlier run; else None."""
    path = settings.state_directory / "results.sqlite"
    if not path.exists() and not any(camera.parts_known for camera in settings.cameras.values()):
        return None
    outbox = Outbox(path, max_bytes=settings.max_results_size)
    outbox.keep_outputs([output.name for output in outputs])
    counts = PartCounts(outbox, settings.shifts.calendar, cameras=len(settings.cameras))
    groups = groups_of(settings)
    part_log = PartLog(outbox)
    joiner = ViewJoiner(settings.site, groups, outputs, outbox, counts, problems, part_log=part_log)
    evidence = Evidence(settings.state_directory / OK_HEATMAPS, max_bytes=settings.max_results_size)
    heatmaps = OkHeatmaps(outputs, outbox, evidence)
    recorder = ResultRecorder(
        settings.site, outputs, outbox, counts=counts, part_log=part_log, joiner=joiner, heatmaps=heatmaps
    )
    for output in outputs:
        output.deliver_results(outbox)
    _announce(outputs, groups)
    return Results(outbox, recorder, counts, part_log, joiner, heatmaps, outputs)


def groups_of(settings: Settings) -> tuple[ViewGroup, ...]:
    """The cameras that see the same part."""
    return tuple(ViewGroup(name, each.cameras, each.within_seconds) for name, each in settings.parts.items())


def _announce(outputs: Sequence[Output], groups: Sequence[ViewGroup]) -> None:
    for output in outputs:
        output.announce_view_groups({group.name: group.cameras for group in groups})
