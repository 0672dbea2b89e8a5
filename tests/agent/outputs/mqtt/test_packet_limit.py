"""Images within the broker's packet limit."""

from __future__ import annotations

import pytest

from agent.outputs.mqtt.packet_limit import shrink_to_fit
from agent.outputs.mqtt.packets import Outgoing
from tests.support.delivery import noise_png


def image(side: int) -> Outgoing:
    return Outgoing("shots/a", noise_png(side), retain=True, media_type="image/png")


def test_an_image_that_fits_is_sent_as_it_is() -> None:
    message = image(12)
    assert shrink_to_fit(message, 800) == (message, 1.0)
    assert shrink_to_fit(message, None) == (message, 1.0)


def test_an_image_that_is_too_large_is_shrunk() -> None:
    fitting = shrink_to_fit(image(64), 4000)
    assert fitting is not None
    message, scale = fitting
    assert scale == 0.5
    assert message.packet_bytes() <= 4000
    assert message.retain


@pytest.mark.parametrize("side", [16, 64])
def test_an_image_that_no_size_fits_is_left_out(side: int) -> None:
    """64 pixels a side are too much at 16 pixels still, below which nothing is shrunk; 16 pixels are that already."""
    assert shrink_to_fit(image(side), 800) is None
