"""What the tests of outbox and publisher share: real alarm documents, and the delivering part of an agent."""

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
from agent.mqtt import Broker
from agent.outputs.mqtt.delivery import Publisher, Timing
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import Message, Outbox
from tests.support.broker import Arrived

TOPICS = Topics("plant")
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)

# What takes up to a minute in a plant takes up to a second here.
QUICK = Timing(
    connack_timeout_seconds=1.0,
    puback_timeout_seconds=0.5,
    reconnect_first_seconds=0.05,
    reconnect_max_seconds=0.5,
    retry_first_seconds=0.01,
    retry_max_seconds=0.1,
)


def alarm_record(identity: str, camera: str = "cam", event: AlarmEvent = AlarmEvent.RAISED) -> Alarm:
    return Alarm(identity, event, AlarmKind.DEFECT, camera, AT, 7, 3.5, 2.0)


def document(
    identity: str, sequence: int, camera: str = "cam", event: AlarmEvent = AlarmEvent.RAISED, **more: Any
) -> Message:
    """The message of an alarm."""
    payload = AlarmPayload.of(alarm_record(identity, camera, event), sequence=sequence, site="plant", **more)
    return Message(TOPICS.alarm(camera), payload.to_bytes(), identity, event.value)


def noise_png(side: int) -> bytes:
    """An image that cannot be compressed: about 3 · side² bytes."""
    return encode(np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8), "image/png")


def image_message(identity: str, payload: bytes, name: str = "heatmap", camera: str = "cam") -> Message:
    """The message of an alarm's image."""
    topic = TOPICS.image(camera, identity, name)
    return Message(topic, payload, identity, name, is_image=True, media_type="image/png")


def accept(
    outbox: Outbox,
    identity: str,
    camera: str = "cam",
    event: AlarmEvent = AlarmEvent.RAISED,
    images: dict[str, bytes] | None = None,
) -> int:
    """Store an alarm and its images in the outbox; returns its sequence number."""
    images = images or {}

    def build(sequence: int) -> list[Message]:
        messages = [image_message(identity, payload, name, camera) for name, payload in images.items()]
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


class WaitablePublisher(Publisher):
    """A publisher whose deliveries a test can wait for."""

    def wait_until_delivered(self, timeout_seconds: float) -> bool:
        """True once nothing is waiting for this output in the outbox, False after the timeout."""
        end = time.monotonic() + timeout_seconds
        while self._shared.outbox.waiting(self._shared.output) > 0:
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def delivering(
    url: str,
    path: Path,
    *,
    outbox: Outbox | None = None,
    broker: Broker | None = None,
    topics: Topics = TOPICS,
    max_bytes: int = 64 * 1024**2,
    **options: Any,
) -> Iterator[tuple[Outbox, WaitablePublisher]]:
    """An outbox in `path`, unless one is given, and a started publisher with `options`; closed afterwards."""
    outbox = outbox or Outbox(path / "outbox.sqlite", max_bytes=max_bytes)
    publisher = WaitablePublisher(broker or Broker(url), topics, outbox, **options)
    publisher.start()
    try:
        yield outbox, publisher
    finally:
        publisher.stop(5.0)
        outbox.close()
