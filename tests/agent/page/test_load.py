"""Twenty viewers at once: each gets events and images, and the page stays small."""

from __future__ import annotations

from tests.agent.page.conftest import Line
from tests.support.broker import wait_until
from tests.support.viewers import Viewers

VIEWERS = 20
MOST_BYTES = 120_000_000


def test_twenty_viewers_are_served_in_little_memory(line: Line) -> None:
    viewers = Viewers(line.page).start(VIEWERS)
    try:
        # Status, scores and device, and two images, for each of them.
        wait_until(lambda: viewers.events > 4 * VIEWERS, what="events for all")
        wait_until(lambda: viewers.images > 2 * VIEWERS, what="images for all")
        assert line.page.memory_bytes() < MOST_BYTES
        assert line.page.descriptors() < 150
    finally:
        viewers.stop()
    assert line.page.client("vera").get("/api/session").document["person"] == "vera"
