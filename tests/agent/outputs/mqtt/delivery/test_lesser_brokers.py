"""Brokers that offer less than the agent asks for: it connects with what they offer, and reports what is missing."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.mqtt import Protocol
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, accept, delivering, noise_png, sequences

StartBroker = Callable[..., Mosquitto]

NO_RETAIN = "keeps no retained messages: a later subscriber does not see status and states"
NO_QOS = "offers QoS 0 only: an alarm counts as delivered once it is sent, and may be lost"


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (["retain_available false"], NO_RETAIN),
        (["max_qos 0"], NO_QOS),
        (["retain_available false", "max_qos 0"], f"{NO_RETAIN}, and {NO_QOS}"),
    ],
)
def test_broker_without_retain_or_qos_1_gets_alarms(
    mosquitto: StartBroker, tmp_path: Path, lines: list[str], missing: str
) -> None:
    broker = mosquitto(lines=lines)
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        for number in range(30):
            accept(outbox, f"a{number}", camera=f"cam{number % 3}", images={"heatmap": noise_png(16)})
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: len(subscriber.on("/alarm")) == 30 and len(subscriber.on("/heatmap")) == 30)
        wait_until(lambda: subscriber.on("/status"))
        assert publisher.report().problems == [f"broker 127.0.0.1:{broker.port} {missing}"]
        assert json.loads(subscriber.on("/status")[-1].payload)["problems"] == publisher.report().problems
    assert sorted(sequences(subscriber.on("/alarm"))) == list(range(1, 31))
    wait_until(lambda: json.loads(subscriber.on("/status")[-1].payload)["status"] == "stopped")


def test_broker_that_offers_more_after_a_restart_gets_it(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto(lines=["retain_available false"])
    with delivering(broker.url, tmp_path, timing=QUICK) as (outbox, publisher):
        wait_until(lambda: publisher.report().problems)
        broker.stop()
        broker.lines = []
        broker.start()
        accept(outbox, "a")
        assert publisher.wait_until_delivered(60)
        assert publisher.report().problems == []
        late = Subscriber(broker, "inspectd/plant/status")
        wait_until(lambda: late.messages)
        assert late.messages[0].retained


@pytest.mark.parametrize("protocol", list(Protocol))
def test_second_agent_of_a_site_is_reported(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: Protocol
) -> None:
    """Mosquitto 2.0.11 closes the first one's connection without a reason; newer ones give it to MQTT 5."""
    broker = mosquitto()
    with delivering(broker.url, tmp_path / "first", timing=QUICK, protocol=protocol) as (_, first):
        wait_until(lambda: first.connected)
        with delivering(broker.url, tmp_path / "second", timing=QUICK, protocol=protocol) as (_, second):
            wait_until(lambda: first.report().problems or second.report().problems)
    (text, *_) = (record.getMessage() for record in caplog.records if "another agent" in record.getMessage())
    assert 'another agent has site = "plant" and the same topics (client id inspectd-plant)' in text


def test_agent_whose_session_is_taken_over_waits(tmp_path: Path) -> None:
    """Otherwise the two would throw each other out twice a second. These are the packets of a newer broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"mqtt://127.0.0.1:{server.getsockname()[1]}"
        with delivering(url, tmp_path, timing=QUICK) as (_, publisher):
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"\x20\x03\x00\x00\x00")  # CONNACK
            wait_until(lambda: publisher.connected)
            connection.sendall(b"\xe0\x02\x8e\x00")  # DISCONNECT: session taken over
            wait_until(lambda: publisher.report().problems)
            assert publisher.report().problems == [
                'another agent has site = "plant" and the same topics (client id inspectd-plant): it has taken over '
                "the session; give each agent a site of its own"
            ]
            server.settimeout(2.0)
            with pytest.raises(TimeoutError):
                server.accept()
            connection.close()
