"""Messages within the broker's packet limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.messages.alarm import OmittedPayload
from agent.messages.base import parse
from agent.mqtt import Outgoing
from agent.outputs.mqtt.delivery.limits.packet_limit import shrink_to_fit
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import accept, delivering, noise_png


def image(side: int) -> Outgoing:
    return Outgoing("shots/a", noise_png(side), retain=True, media_type="image/png")


def test_image_that_fits_is_unchanged() -> None:
    message = image(12)
    assert shrink_to_fit(message, 800) == (message, 1.0)
    assert shrink_to_fit(message, None) == (message, 1.0)


def test_image_that_is_too_large_is_shrunk() -> None:
    fitting = shrink_to_fit(image(64), 4000)
    assert fitting is not None
    message, scale = fitting
    assert scale == 0.5
    assert message.packet_bytes() <= 4000
    assert message.retain


@pytest.mark.parametrize("side", [16, 64])
def test_image_that_no_size_fits_is_left_out(side: int) -> None:
    """Nothing is shrunk below 16 pixels: 64 pixels are still too large at 16, and 16 pixels cannot be shrunk."""
    assert shrink_to_fit(image(side), 800) is None


def test_image_of_an_alarm_beyond_the_limit_is_shrunk_or_left_out(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    """The heatmap is shrunk, the frame is replaced by a note, and nothing behind them waits."""
    broker = mosquitto(lines=["max_packet_size 6000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        accept(outbox, "big", images={"heatmap": noise_png(128), "frame": noise_png(128)})
        accept(outbox, "small", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: subscriber.on("/omitted") and len(subscriber.on("/heatmap")) == 2)
        counts = outbox.counts()
    (shrunk,) = subscriber.on("/alarm/big/heatmap")
    assert dict(shrunk.properties.UserProperty)["scale"] == "0.2500"
    assert cv2.imdecode(np.frombuffer(shrunk.payload, np.uint8), cv2.IMREAD_COLOR).shape == (32, 32, 3)
    note = parse(OmittedPayload, subscriber.on("/omitted")[0].payload)
    assert (note.id, note.picture, note.limit_bytes) == ("big", "frame", 6000)
    assert not subscriber.on("/alarm/big/frame")
    assert subscriber.on("/alarm/small/heatmap")[0].payload == noise_png(16)
    assert (counts.omitted_pictures, counts.dead_letters) == (1, 0)
