"""The results of parts: their own outbox, and the thread that fills it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.outputs import Output, PartCounts, ResultRecorder
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


def open_results(settings: Settings, outputs: Sequence[Output]) -> Results | None:
    """Open the outbox of results, where a camera has parts or results wait from an earlier run; else None."""
    path = settings.state_directory / "results.sqlite"
    if not path.exists() and not any(camera.parts_known for camera in settings.cameras.values()):
        return None
    outbox = Outbox(path, max_bytes=settings.max_results_size)
    outbox.keep_outputs([output.name for output in outputs])
    counts = PartCounts(outbox, settings.shifts.calendar, cameras=len(settings.cameras))
    results = Results(outbox, ResultRecorder(settings.site, outputs, outbox, counts=counts), counts)
    for output in outputs:
        output.deliver_results(outbox)
    return results
