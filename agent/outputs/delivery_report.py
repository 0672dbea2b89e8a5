"""The counts of the outboxes, as `status` and the document of the agent report them."""

from __future__ import annotations

from agent.messages import OutboxPayload, ResultsPayload
from agent.outputs.outbox import Outbox


def outbox_report(output: str | None, outbox: Outbox, results: Outbox | None = None) -> OutboxPayload:
    """What waits for an output, and what was lost of all. Raises Temporary.

    Args:
        output: its name; None: what waits for all of them. The bytes are those of all: they share the limit.
        outbox: of alarms.
        results: the outbox of results, if there is one.
    """
    counts = outbox.counts()
    return OutboxPayload(
        waiting=outbox.waiting(output),
        waiting_bytes=counts.waiting_bytes,
        sequence=counts.sequence,
        epoch=counts.epoch,
        dropped_pictures=counts.dropped_pictures,
        dropped_alarms=counts.dropped_alarms,
        dead_letters=counts.dead_letters,
        omitted_pictures=counts.omitted_pictures,
        missing=list(counts.missing),
        results=None if results is None else _results_report(output, results),
    )


def _results_report(output: str | None, results: Outbox) -> ResultsPayload:
    counts = results.counts()
    return ResultsPayload(
        waiting=results.waiting(output),
        sequence=counts.sequence,
        epoch=counts.epoch,
        dropped=counts.dropped_alarms,
        dropped_pictures=counts.dropped_pictures,
        dead_letters=counts.dead_letters,
        missing=list(counts.missing),
    )
