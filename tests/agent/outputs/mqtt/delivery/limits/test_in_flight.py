"""The sending window."""

from __future__ import annotations

import pytest

from agent.outputs.mqtt.delivery.limits.in_flight import SLOWEST_LINK, InFlight, Sent
from agent.outputs.outbox import Row


def row(identity: int, *, is_image: bool) -> Row:
    return Row(identity, identity, "cam", "a", "frame", is_image, "t", "image/png", 100, None, b"x")


def test_window_holds_what_waits_for_its_puback() -> None:
    window = InFlight(3)
    window.add(1, Sent(0.0, 10, row=row(7, is_image=True)))
    window.add(2, Sent(0.0, 10, row=row(8, is_image=False)))
    window.add(3, Sent(0.0, 10, topic="status", version=2))
    assert window.room == 0
    assert [row.id for row in window.rows] == [7, 8]
    assert [row.id for row in window.images] == [7]
    assert "status" in window.topics
    assert not window.has_notice
    sent = window.pop(1)
    assert sent is not None
    assert sent.row == row(7, is_image=True)
    assert window.pop(1) is None
    window.add(4, Sent(0.0, 10, notice=0))
    assert window.has_notice
    assert (len(window), window.room) == (3, 0)


@pytest.mark.parametrize(("now", "overdue"), [(14.9, False), (15.1, True)])
def test_puback_is_overdue_after_the_timeout_and_the_time_that_a_slow_link_needs(now: float, overdue: bool) -> None:
    """The first message counts; the bytes of all of them take 4 s on the slowest link."""
    window = InFlight(2)
    assert not window.is_overdue(1e9, 10.0)
    window.add(1, Sent(1.0, SLOWEST_LINK))
    window.add(2, Sent(9.0, 3 * SLOWEST_LINK))
    assert window.is_overdue(now, 10.0) is overdue
