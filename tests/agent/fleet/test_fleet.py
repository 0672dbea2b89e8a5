"""From documents to rows: what is wrong comes first, and only news is sent."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from agent.fleet.broker.documents import Document
from agent.fleet.broker.faults import Faults
from agent.fleet.broker.subscriber import Link
from agent.fleet.broker.topic_tree import TopicTree
from agent.fleet.cameras.fleet import Fleet
from agent.messages import Payload
from tests.support.documents import count, now, state, status

START = 1000.0
CONNECTED = Link(True, time.time(), START)
BROKEN = {"since": now(), "rate": 5.0, "text": "false alarms come faster than promised"}
OUTBOX = {
    "waiting": 400,
    "waiting_bytes": 1,
    "sequence": 9,
    "dropped_pictures": 0,
    "dropped_alarms": 0,
    "dead_letters": 0,
    "omitted_pictures": 0,
}


class Table:
    """A fleet with a clock."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.fleet = Fleet(self.faults)
        self.now = START
        self.link = CONNECTED

    def publish(self, topic: str, payload: Payload | bytes | None, *, live: bool = True) -> None:
        place = TopicTree().read(topic)
        assert place is not None
        body = payload.to_bytes() if isinstance(payload, Payload) else payload
        document = None if body is None else Document(body, live, time.time(), self.now)
        self.fleet.take([(place, document)])

    def update(self) -> list[dict[str, Any]]:
        return self.fleet.update(self.now, self.link)[0]

    def row(self, key: str = "inspectd/plant line1") -> dict[str, Any]:
        self.update()
        return self.fleet.rows[key]


@pytest.fixture
def table() -> Table:
    made = Table()
    made.publish("inspectd/plant/status", status())
    return made


@pytest.mark.parametrize(
    ("of_agent", "of_camera", "conditions", "severity"),
    [
        ({}, {}, ["armed"], 0),
        ({}, {"phase": "calibrating"}, ["calibrating"], 1),
        ({}, {"phase": "blind", "reason": "dark"}, ["blind"], 3),
        ({}, {"broken_promise": BROKEN, "alarm": "7"}, ["promise_broken", "alarm", "armed"], 2),
        ({"problems": ["disk full"]}, {"phase": "camera_lost"}, ["camera_lost", "problems"], 3),
        ({"outbox": OUTBOX}, {"drift": True}, ["backlog", "drift", "armed"], 2),
        ({"presence": "offline", "at": None}, {}, ["offline"], 3),
        ({"presence": "stopped"}, {"phase": "stopped"}, ["stopped"], 1),
    ],
)
def test_worst_condition_comes_first(
    table: Table, of_agent: dict[str, Any], of_camera: dict[str, Any], conditions: list[str], severity: int
) -> None:
    table.publish("inspectd/plant/status", status(**of_agent))
    table.publish("inspectd/plant/line1/state", state(**of_camera))
    row = table.row()
    assert (row["conditions"], row["severity"]) == (conditions, severity)


def test_words_of_the_agent_go_with_the_worst_condition(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state("blind", reason="the image is\nblack" + "x" * 500))
    text = table.row()["text"]
    assert text.startswith("the image is\\nblack")
    assert len(text) <= 160
    table.publish("inspectd/plant/line1/state", state(broken_promise=BROKEN))
    assert table.row()["text"] == BROKEN["text"]


def test_camera_that_is_not_heard_of_is_silent_and_heard_again_it_is_not(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state())
    assert table.row()["conditions"] == ["armed"]
    table.now += 29.0
    assert table.update() == []
    table.now += 2.0
    changed = table.update()
    assert changed[0]["conditions"] == ["silent"]
    assert changed[0]["heard_at"] == pytest.approx(time.time(), abs=5)
    table.publish("inspectd/plant/line1/state", state())
    assert table.row()["conditions"] == ["armed"]
    assert table.row()["heard_at"] is None


def test_nothing_becomes_silent_while_the_broker_is_gone(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state())
    table.update()
    table.link = Link(False, time.time(), table.now + 10.0, "gone")
    table.now += 3600.0
    assert table.update() == []
    table.link = Link(True, time.time(), table.now)
    table.now += 20.0
    assert table.update() == []
    table.now += 20.0
    assert table.update()[0]["conditions"] == ["silent"]


def test_old_document_that_the_broker_kept_is_silent_at_once(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state(at=now() - timedelta(minutes=5)), live=False)
    assert table.row()["conditions"] == ["silent"]
    assert time.time() - table.row()["heard_at"] == pytest.approx(300, abs=5)
    table.publish("inspectd/plant/line1/state", state())
    assert table.row()["conditions"] == ["armed"]


def test_clock_that_is_off_is_reported_from_live_documents_only(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state(at=now() - timedelta(hours=3)), live=False)
    assert "clock" not in table.row()["conditions"]
    table.publish("inspectd/plant/line1/state", state(at=now() - timedelta(hours=3)))
    assert table.row()["conditions"] == ["clock", "armed"]
    assert table.row()["clock_off"] == -3 * 3600
    table.publish("inspectd/plant/line1/state", state())
    assert table.row()["conditions"] == ["armed"]
    table.fleet.doubt_clocks({"inspectd/plant": True, "inspectd/unknown": True})
    assert table.row()["conditions"] == ["clock", "armed"]


def test_only_news_is_sent(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state(frames=1))
    table.publish("inspectd/plant/line1/count", count(9, 1))
    assert len(table.update()) == 1
    table.publish("inspectd/plant/line1/state", state(frames=2, frames_per_second=7.0))
    assert table.update() == []
    table.publish("inspectd/plant/line1/count", count(19, 1))
    assert table.update() == [{"key": "inspectd/plant line1", "ok": 19, "yield": 0.95}]
    table.fleet.count_alarms({("inspectd/plant", "line1"): 4})
    assert table.update() == [{"key": "inspectd/plant line1", "alarms": 4}]
    table.fleet.count_alarms({})
    assert table.update() == [{"key": "inspectd/plant line1", "alarms": 0}]


def test_removed_documents_remove_the_row(table: Table) -> None:
    table.publish("inspectd/plant/line1/state", state())
    table.update()
    table.publish("inspectd/plant/line1/state", None)
    changed, gone = table.fleet.update(table.now, table.link)
    assert gone == ["inspectd/plant line1"]
    assert [row["key"] for row in changed] == ["inspectd/plant"], "the agent is still there, without a camera"
    table.publish("inspectd/plant/status", None)
    assert table.fleet.update(table.now, table.link) == ([], ["inspectd/plant"])
    assert table.fleet.rows == {}


@pytest.mark.parametrize(
    "payload",
    [b"not JSON", b"{}", b'{"schema": "inspectd.state/1"}', b"[" * 5000, state(site="other").to_bytes(), b"\xff\xfe"],
)
def test_document_that_cannot_be_read_is_named_and_changes_nothing(table: Table, payload: bytes) -> None:
    table.publish("inspectd/plant/line1/state", state())
    table.update()
    table.publish("inspectd/plant/line1/state", payload)
    assert table.update() == []
    assert table.faults.named()[0]["topic"] == "inspectd/plant line1 state"


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("https://line1.example:8470/", "https://line1.example:8470/"),
        ("javascript:alert(1)", None),
        ("https://anna@line1.example/", None),
        ("https:///nowhere", None),
        ("https://line1.example/" + "x" * 600, None),
        ("http://[", None),
    ],
)
def test_only_an_address_that_browsers_may_open_becomes_a_link(table: Table, address: str, link: str | None) -> None:
    table.publish("inspectd/plant/status", status(page=address))
    assert table.row("inspectd/plant")["page"] == link


def test_cameras_that_see_the_same_part_have_a_row_of_their_own(table: Table) -> None:
    """Its state is that of the worst of them; its numbers are those of the joined parts."""
    for camera, phase in (("top", "armed"), ("side", "armed"), ("rear", "blind")):
        table.publish(f"inspectd/plant/{camera}/state", state(phase, camera=camera))
    numbers = count(97, 3, camera="parts/p1", cameras=["top", "side"])
    table.publish("inspectd/plant/parts/p1/count", numbers)
    found = table.row("inspectd/plant parts/p1")
    assert (found["conditions"], found["cameras"], found["ok"], found["yield"]) == (
        ["armed"],
        ["top", "side"],
        97,
        0.97,
    )
    table.publish("inspectd/plant/side/state", state("camera_lost", camera="side", reason="no cable"))
    found = table.row("inspectd/plant parts/p1")
    assert (found["conditions"], found["text"]) == (["camera_lost"], "no cable")
    table.publish("inspectd/plant/parts/p1/count", None)
    table.update()
    assert "inspectd/plant parts/p1" not in table.fleet.rows
    assert len(table.fleet.rows) == 3
