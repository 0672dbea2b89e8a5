"""Messages from any sender are sorted and bounded, and none of them ends in an error."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from agent.fleet.broker.documents import MAX_DOCUMENT_BYTES, Documents
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.subscriber import Link
from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.cameras.fleet import Fleet
from agent.fleet.history.entries import Entry
from agent.fleet.history.tables import ALARMS, EVENTS
from agent.fleet.intake import Intake
from agent.mqtt import Received
from tests.support.documents import alarm, count, event, state, status, verdict

LINE = "inspectd/plant/line1"


class Arrivals:
    """An intake and what it makes of messages."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.documents, self.faults = Documents(10), Faults()
        self.intake = Intake(TopicTree(), self.documents, self.faults, self.entries.append)

    def publish(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        self.intake.take(Received(topic, payload, 1, retained, None, None, None))


@pytest.fixture
def arrivals() -> Arrivals:
    return Arrivals()


def test_messages_go_where_they_belong(arrivals: Arrivals) -> None:
    arrivals.publish(f"{LINE}/state", state().to_bytes(), retained=True)
    arrivals.publish(f"{LINE}/alarm", alarm(clock="unsynchronised").to_bytes())
    arrivals.publish(f"{LINE}/event", event("drift").to_bytes())
    arrivals.publish(f"{LINE}/alarm/7/verdict", verdict("7", "true", 1).to_bytes())
    ((_, document),) = arrivals.documents.take_changed()
    assert document is not None
    assert not document.live
    assert [entry.table for entry in arrivals.entries] == [ALARMS, EVENTS, ALARMS]
    assert arrivals.intake.take_clocks() == {"inspectd/plant": True}
    assert arrivals.intake.take_clocks() == {}
    assert arrivals.faults.count == 0


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (f"{LINE}/alarm", b"not JSON"),
        (f"{LINE}/alarm", b'{"schema": "inspectd.alarm/1"}'),
        (f"{LINE}/alarm", alarm(site="other").to_bytes()),
        (f"{LINE}/event", b"\xff" * 100),
        (f"{LINE}/alarm/7/verdict", b"[]"),
        (f"{LINE}/state", b"x" * (MAX_DOCUMENT_BYTES + 1)),
        ("inspectd/\x00/status", b"{}"),
        ("a" * 60_000, b""),
    ],
)
def test_message_that_does_not_fit_is_counted_and_named(arrivals: Arrivals, topic: str, payload: bytes) -> None:
    arrivals.publish(topic, payload)
    assert arrivals.faults.count == 1
    assert arrivals.faults.named()[0]["topic"].startswith(topic[:9])
    assert arrivals.entries == []


VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**70,
    1e308,
    "",
    "x" * 5000,
    "\u202e\x1b[2J",
    "\ud800",
    [],
    [[]],
    {},
    {"a": {}},
)
DOCUMENTS = {
    "status": status(problems=["disk full"]),
    "line1/state": state(),
    "line1/count": count(9, 1),
    "line1/alarm": alarm(),
    "line1/event": event("drift"),
    "line1/alarm/7/verdict": verdict("7", "true", 1),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_value_of_a_field_ends_the_page(arrivals: Arrivals, name: str) -> None:
    """Each field in turn has each value: the document is taken, or counted."""
    document = json.loads(DOCUMENTS[name].to_bytes())
    fleet, link = Fleet(arrivals.faults), Link(True, time.time(), time.monotonic())
    for field in document:
        for value in VALUES:
            arrivals.publish(f"inspectd/plant/{name}", json.dumps({**document, field: value}).encode())
            fleet.take(arrivals.documents.take_changed())
            fleet.update(time.monotonic(), link)
            json.dumps(fleet.rows, ensure_ascii=False).encode()
    assert arrivals.faults.count > len(document)
    assert all(len(str(value)) <= 700 for row in fleet.rows.values() for value in row.values())
