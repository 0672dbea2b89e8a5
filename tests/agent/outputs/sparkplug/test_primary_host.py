"""An edge node with a primary host: nothing is published while it is offline. Statements of Sparkplug 3.0 by name."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.core.problems import Problems
from agent.outputs.sparkplug.primary_host import PrimaryHost
from tests.agent.outputs.sparkplug.conftest import NODE, PART, Start, born, on, state
from tests.support.broker import Subscriber, wait_until
from tests.support.sparkplug import rebirth, values

TOPIC = "spBv1.0/STATE/scada"


def state_of(host: Subscriber, online: bool, timestamp: int, topic: str = TOPIC) -> None:
    """Publish a STATE, as a host application does: QoS 1, retained."""
    host.publish(topic, json.dumps({"online": online, "timestamp": timestamp}).encode(), retain=True)


def nodes_own(host: Subscriber) -> list[str]:
    """What the node has published."""
    return [message.topic.split("/")[2] for message in host.messages if message.topic.startswith("spBv1.0/hall")]


def test_the_births_wait_for_the_host(host: Subscriber, start: Start, problems: Problems) -> None:
    """tck-id-message-flow-edge-node-birth-publish-phid-wait, -wait-id and -wait-online."""
    state_of(host, True, 1, "spBv1.0/STATE/another")
    state_of(host, False, 1)
    output = start(primary_host="scada")
    wait_until(lambda: any("waits for the primary host scada" in text for text in problems.all()), what="the problem")
    output.publish_state(state(threshold=0.75))
    output.show_result(PART)
    for nonsense in (b"", b"ONLINE", b'{"online": true}', b'{"online": 1, "timestamp": 5}', b"[" * 100_000):
        host.publish(TOPIC, nonsense)
    host.publish(NODE.format("NCMD"), rebirth())
    assert not output.report().connected
    state_of(host, True, 2)
    born(host)
    assert nodes_own(host)[0] == "NCMD"
    assert nodes_own(host)[1:] == ["NBIRTH", "DBIRTH", "DBIRTH"], "no rebirth while the host is away"
    assert values(on(host, "DBIRTH", "top")[0])["State/Threshold"] == 0.75
    wait_until(lambda: problems.all() == [] and output.report().connected, what="connected")


def test_a_host_that_is_online_already_is_not_waited_for(host: Subscriber, start: Start) -> None:
    state_of(host, True, 1)
    start(primary_host="scada")
    born(host)


def test_the_node_ends_and_waits_when_the_host_goes_offline(host: Subscriber, start: Start) -> None:
    """tck-id-message-flow-edge-node-birth-publish-phid-offline, and -wait-timestamp for a STATE that comes late."""
    state_of(host, True, 10)
    output = start(primary_host="scada")
    born(host)
    state_of(host, False, 9)
    output.show_result(PART)
    wait_until(lambda: len(on(host, "DDATA", "top")) == 1, what="a result, since that STATE was older")
    state_of(host, False, 11)
    wait_until(lambda: len(on(host, "NDEATH")) == 1, what="the death")
    assert values(on(host, "NDEATH")[0]) == {"bdSeq": 0}
    output.show_result(replace(PART, part="SN2"))
    state_of(host, True, 12)
    born(host, 2)
    assert nodes_own(host) == ["NBIRTH", "DBIRTH", "DBIRTH", "DDATA", "NDEATH", "NBIRTH", "DBIRTH", "DBIRTH"]
    assert values(on(host, "NBIRTH")[1])["bdSeq"] == 1
    assert values(on(host, "DBIRTH", "top")[1])["Result/Part"] == "SN2", "the births have the latest values"


@pytest.mark.parametrize("payload", [b"", b"OFFLINE", b"null", b"{}", b'{"online": 0, "timestamp": 1}', b"\xff"])
def test_bytes_that_are_no_state_are_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError, match="STATE of Sparkplug"):
        PrimaryHost("scada").take(payload)
