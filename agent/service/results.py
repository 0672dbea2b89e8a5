"""The results of parts: their own outbox, and the thread that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.clock import utc_now
from agent.core.problems import Problems
from agent.messages import ViewGroupPayload
from agent.monitoring import shift_payload
from agent.outputs import Output, PartCounts, PartLog, ResultRecorder, ViewGroup, ViewJoiner
from agent.outputs.outbox import Outbox
from agent.settings import Settings


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
    outputs: Sequence[Output]
    """What they are published by."""

    def adopt(self, settings: Settings) -> None:
        """Join by the groups of these settings once every result before is stored: soon, unless the disk is full."""
        groups = groups_of(settings)
        if groups == self.joiner.groups:
            return
        self.recorder.when_stored(lambda: self.joiner.adopt(groups))
        _announce(self.outputs, groups)

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
    log = PartLog(outbox)
    joiner = ViewJoiner(settings.site, groups, outputs, outbox, counts, problems, part_log=log)
    recorder = ResultRecorder(settings.site, outputs, outbox, counts=counts, part_log=log, joiner=joiner)
    for output in outputs:
        output.deliver_results(outbox)
    _announce(outputs, groups)
    return Results(outbox, recorder, counts, log, joiner, outputs)


def groups_of(settings: Settings) -> tuple[ViewGroup, ...]:
    """The cameras that see the same part."""
    return tuple(ViewGroup(name, each.cameras, each.within_seconds) for name, each in settings.parts.items())


def _announce(outputs: Sequence[Output], groups: Sequence[ViewGroup]) -> None:
    for output in outputs:
        output.announce_view_groups({group.name: group.cameras for group in groups})
