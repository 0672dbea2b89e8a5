"""Limits on time and number of connections, with a clock that only the test moves."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra page is not installed")

from agent.page.server.connections import Connections


class Connection:
    """As much of a connection as `Connections` sees."""

    def __init__(self, *, busy: bool = False, slow_after: float = 10.0) -> None:
        self.busy = busy
        self.ended = False
        self._slow_after = slow_after

    def too_slow(self, now: float, request_seconds: float, sending_seconds: float) -> bool:
        return now > self._slow_after

    def abort(self) -> None:
        self.ended = True


def added(connections: Connections, connection: Any) -> bool:
    return connections.add(connection)


def test_oldest_that_waits_ends_for_a_new_one() -> None:
    connections = Connections(most=2)
    busy, waiting, new = Connection(busy=True), Connection(), Connection()
    assert all(added(connections, each) for each in (busy, waiting, new))
    assert [busy.ended, waiting.ended, new.ended] == [False, True, False]
    assert len(connections) == 2


def test_new_one_is_not_admitted_while_all_are_served() -> None:
    connections = Connections(most=1)
    assert added(connections, Connection(busy=True))
    assert not added(connections, Connection())


def test_slow_ones_end() -> None:
    connections = Connections()
    slow, quick = Connection(slow_after=5.0), Connection(slow_after=50.0)
    for each in (slow, quick):
        added(connections, each)
    connections.sweep(10.0)
    assert slow.ended
    assert not quick.ended
    assert len(connections) == 1
