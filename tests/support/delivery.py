"""What the tests of outbox and publisher share: real alarm documents, and an agent's delivery end without the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.image_bytes import encode
from agent.core.records import Alarm, AlarmEvent, AlarmKind
from agent.messages.alarm import AlarmPayload, ImagePayload
from agent.outputs.mqtt.broker import Broker
from agent.outputs.mqtt.publisher import Publisher
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import Message, Outbox
from tests.support.broker import Arrived

TOPICS = Topics("plant")
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)


def alarm_record(identity: str, camera: str = "cam", event: AlarmEvent = AlarmEvent.RAISED) -> Alarm:
    return Alarm(identity, event, AlarmKind.DEFECT, camera, AT, 7, 3.5, 2.0)


def document(
    identity: str, sequence: int, camera: str = "cam", event: AlarmEvent = AlarmEvent.RAISED, **more: Any
) -> Message:
    """The message of an alarm."""
    payload = AlarmPayload.of(alarm_record(identity, camera, event), sequence=sequence, site="plant", **more)
    return Message(TOPICS.alarm(camera), payload.to_bytes(), identity, event.value)


def noise_png(side: int) -> bytes:
    """An image that does not compress: about 3 · side² bytes."""
    return encode(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8), "image/png")


def image(identity: str, payload: bytes, name: str = "heatmap", camera: str = "cam") -> Message:
    topic = TOPICS.image(camera, identity, name)
    return Message(topic, payload, identity, name, is_image=True, media_type="image/png")


def accept(
    outbox: Outbox,
    identity: str,
    camera: str = "cam",
    event: AlarmEvent = AlarmEvent.RAISED,
    images: dict[str, bytes] | None = None,
) -> int:
    """Has an alarm accepted with its images; its sequence number."""
    images = images or {}

    def build(sequence: int) -> list[Message]:
        messages = [image(identity, payload, name, camera) for name, payload in images.items()]
        evidence = {
            message.part: ImagePayload(
                topic=message.topic, sha256="0" * 64, media_type=message.media_type, bytes=len(message.payload)
            )
            for message in messages
        }
        return [document(identity, sequence, camera, event, evidence=evidence), *messages]

    return outbox.accept(camera, build, captured_monotonic=time.monotonic())


def sequences(messages: list[Arrived]) -> list[int]:
    """The sequence numbers of alarm messages, in order of arrival."""
    return [json.loads(message.payload)["sequence"] for message in messages]


def first_arrivals(messages: list[Arrived]) -> list[int]:
    """The same without repetitions."""
    return list(dict.fromkeys(sequences(messages)))


@contextmanager
def delivering(url: str, path: Path, **options: Any) -> Iterator[tuple[Outbox, Publisher]]:
    """An outbox in `path` and a started publisher; stopped and closed afterwards."""
    outbox = Outbox(path / "outbox.sqlite", max_bytes=options.pop("max_bytes", 64 * 1024**2))
    publisher = Publisher(options.pop("broker", None) or Broker(url), options.pop("topics", TOPICS), outbox, **options)
    publisher.start()
    try:
        yield outbox, publisher
    finally:
        publisher.stop(1.5)
        outbox.close()
