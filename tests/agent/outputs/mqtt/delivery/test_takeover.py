"""When another client is believed to use the agent's client id, and when no longer."""

from __future__ import annotations

from agent.core.problems import Problems
from agent.mqtt import ConnectionLost
from agent.outputs.mqtt.delivery.takeover import FIRST_WAIT_SECONDS, OVER_AFTER_SECONDS, Takeovers

TAKEN_OVER = ConnectionLost("taken over", closed_by_broker=True, explained=True, taken_over=True)
CLOSED = ConnectionLost("closed", closed_by_broker=True)


def test_takeover_is_reported_until_a_connection_lasts() -> None:
    problems = Problems()
    takeovers = Takeovers("inspectd-plant", "plant", problems)
    waits = [takeovers.lost(TAKEN_OVER, 1.0) for _ in range(8)]
    assert all(wait is not None and wait >= FIRST_WAIT_SECONDS / 2 for wait in waits)
    assert len(problems.all()) == 1
    takeovers.connected_for(OVER_AFTER_SECONDS - 1)
    assert len(problems.all()) == 1
    takeovers.connected_for(OVER_AFTER_SECONDS)
    assert problems.all() == []
    assert (takeovers.lost(TAKEN_OVER, 1.0) or 99.0) <= FIRST_WAIT_SECONDS


def test_connections_that_end_now_and_then_suggest_no_other_agent() -> None:
    problems = Problems()
    takeovers = Takeovers("inspectd-plant", "plant", problems)
    for lasted in (1.0, 3600.0, 1.0):
        assert takeovers.lost(CLOSED, lasted) is None
    assert takeovers.lost(ConnectionLost("PUBACK timeout"), 1.0) is None
    assert takeovers.lost(CLOSED, 1.0) is None
    takeovers.not_connected()
    assert takeovers.lost(CLOSED, 1.0) is None
    assert problems.all() == []
    assert takeovers.lost(CLOSED, 1.0) is None
    assert len(problems.all()) == 1
