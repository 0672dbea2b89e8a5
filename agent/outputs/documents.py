"""The documents of alarms and results, the same on every output that sends messages."""

from __future__ import annotations

from collections.abc import Callable

from agent.alarms import EvidenceImage
from agent.messages import AlarmPayload, CropPayload, ImagePayload, ResultPayload
from agent.outputs.output import RecordedAlarm, RecordedResult


def alarm_document(recorded: RecordedAlarm, place_of: Callable[[EvidenceImage], str], *, images: bool) -> AlarmPayload:
    """The document of an alarm.

    Args:
        recorded: the alarm.
        place_of: where an image is sent: its topic, its id or its key.
        images: whether they are sent at all.
    """
    context = recorded.context
    return AlarmPayload.of(
        recorded.alarm,
        sequence=recorded.sequence,
        site=recorded.site,
        rule=context.rule,
        product=context.product,
        calibration=context.calibration,
        model=context.model,
        engine=context.engine,
        regions=list(recorded.regions),
        crop=None if context.crop is None else CropPayload(**context.crop.model_dump()),
        evidence={
            image.name: ImagePayload(
                topic=place_of(image), sha256=image.sha256, media_type=image.media_type, bytes=len(image.payload)
            )
            for image in recorded.images
            if images
        },
        epoch=recorded.epoch,
        clock_unsynchronised=recorded.clock_unsynchronised,
    )


def result_document(recorded: RecordedResult, heatmap: str | None = None) -> ResultPayload:
    """The document of the result of a part. `heatmap`: where its heatmap is sent; None: nowhere."""
    return ResultPayload.of(
        recorded.part,
        identity=recorded.id,
        sequence=recorded.sequence,
        site=recorded.site,
        latency_seconds=recorded.latency_seconds,
        model=recorded.model,
        engine=recorded.engine,
        epoch=recorded.epoch,
        heatmap=heatmap if recorded.heatmap else None,
    )
