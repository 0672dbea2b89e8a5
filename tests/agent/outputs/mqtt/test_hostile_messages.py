"""Nothing that a client of the broker sends may end the publisher's connection, or hold up alarms."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.messages import CommandResponse
from agent.mqtt import Broker, Connection
from agent.outputs.mqtt.requests import MqttRequests
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, accept, delivering, sequences
from tests.support.fuzzed_messages import LONGEST_BYTES, FuzzedMessages

StartBroker = Callable[..., Mosquitto]

# PUBACK of a message that nobody is subscribed to (MQTT 5, 3.4.2.1).
NO_SUBSCRIBERS = 0x10


def answer(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
    return CommandResponse(command=name[:100], site="plant", camera=camera, at=datetime.now(timezone.utc), ok=True)


def reason_of(subscriber: Subscriber, topic: str) -> int:
    """The reason code of the PUBACK for a message on this topic."""
    got: list[int] = []
    subscriber.client.on_publish = lambda client, userdata, mid, reason, properties: got.append(reason.value)
    subscriber.publish(topic, b"")
    wait_until(lambda: got)
    return got[0]


def hostile(**properties: Any) -> Properties:
    made = Properties(PacketTypes.PUBLISH)
    for name, value in properties.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("options", [{"allowed": []}, {"trusted": False}, {}])
@pytest.mark.parametrize(
    ("topic", "properties"),
    [
        ("inspectd/plant/" + "z" * (LONGEST_BYTES - 30) + "/command/status", {}),
        ("inspectd/plant/command/" + "z" * (LONGEST_BYTES - 23), {}),
        ("inspectd/plant/cam/command/\ufeff", {}),
        ("inspectd/plant/cam/command/pause", {"UserProperty": ("\ufeff", "\ufeff")}),
        ("inspectd/plant/cam/command/pause", {"ResponseTopic": "\ufeff"}),
        ("inspectd/plant/cam/command/pause", {"ResponseTopic": "r" * LONGEST_BYTES}),
        ("inspectd/plant/cam/command/pause", {"CorrelationData": b"c" * LONGEST_BYTES}),
        ("inspectd/plant/cam/command/pause", {"UserProperty": [("k" * LONGEST_BYTES, "v" * LONGEST_BYTES)] * 50}),
    ],
)
def test_one_message_ends_no_connection(
    mosquitto: StartBroker,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    topic: str,
    properties: dict[str, Any],
) -> None:
    broker = mosquitto()
    alarms, desk = Subscriber(broker, "inspectd/+/+/alarm"), Subscriber(broker, "desk/#")
    with caplog.at_level(logging.INFO), delivering(broker.url, tmp_path) as (outbox, publisher):
        MqttRequests(publisher, TOPICS, answer, **options)
        wait_until(lambda: publisher.connected)
        for number in range(10):
            desk.client.publish(topic, b"{}", 1, properties=hostile(**properties)).wait_for_publish(60)
            accept(outbox, f"a{number}")
        assert publisher.wait_until_delivered(60)
    assert sequences(alarms.messages) == list(range(1, 11))
    assert caplog.text.count("connected (") == 1
    assert "unexpected error" not in caplog.text


def test_nothing_is_subscribed_to_where_no_command_is_allowed(mosquitto: StartBroker, tmp_path: Path) -> None:
    """Until `reload` allows one; and no longer after it forbids all."""
    broker = mosquitto()
    desk = Subscriber(broker, "desk/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        requests = MqttRequests(publisher, TOPICS, answer, allowed=[])
        accept(outbox, "a1")
        assert publisher.wait_until_delivered(60)
        assert reason_of(desk, "inspectd/plant/cam/command/pause") == NO_SUBSCRIBERS
        requests.allow(["pause"], trusted=True)
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/pause") == 0)
        requests.allow([], trusted=True)
        wait_until(lambda: reason_of(desk, "inspectd/plant/command/pause") == NO_SUBSCRIBERS)


def test_only_commands_that_are_allowed_are_subscribed_to(mosquitto: StartBroker, tmp_path: Path) -> None:
    """Of the agent and of its cameras, also with a name of two levels; `reload` adds and removes single ones."""
    broker = mosquitto()
    desk = Subscriber(broker, "desk/#")
    with delivering(broker.url, tmp_path) as (_, publisher):
        requests = MqttRequests(publisher, TOPICS, answer, allowed=["status", "calibration/list"])
        for name in ("command/status", "cam/command/status", "cam/command/calibration/list"):
            wait_until(lambda name=name: reason_of(desk, f"inspectd/plant/{name}") == 0)  # type: ignore[misc]
        for name in ("command/pause", "cam/command/pause", "cam/command/calibration", "cam/command/status/x"):
            assert reason_of(desk, f"inspectd/plant/{name}") == NO_SUBSCRIBERS, name
        requests.allow(["pause", "status"], trusted=True)
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/calibration/list") == NO_SUBSCRIBERS)
        assert reason_of(desk, "inspectd/plant/cam/command/status") == 0
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/pause") == 0)
        requests.allow(None, trusted=True)
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/anything") == 0)
        requests.allow(["status"], trusted=True)
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/anything") == NO_SUBSCRIBERS)


@pytest.mark.parametrize("names", [None, ["pause"]])
def test_subscriptions_of_an_earlier_run_are_ended(
    mosquitto: StartBroker, tmp_path: Path, names: list[str] | None
) -> None:
    """The broker keeps the session of a killed agent for seconds, and with it what that agent had subscribed to: all
    commands, or single ones, which show with the first that arrives."""
    broker = mosquitto()
    desk = Subscriber(broker, "desk/#")
    killed = Connection(Broker(broker.url), client_id=TOPICS.client_id, session_expiry_seconds=60)
    killed.open()
    for topic_filter in TOPICS.command_filters(names):
        killed.subscribe(topic_filter)
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        killed.turn(0.1)
    killed.close()
    assert reason_of(desk, "inspectd/plant/cam/command/pause") == 0
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, answer, allowed=[])
        wait_until(lambda: reason_of(desk, "inspectd/plant/cam/command/pause") == NO_SUBSCRIBERS)


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=[pytest.mark.faults, pytest.mark.timeout(900)])])
def test_fuzzed_messages_hold_up_no_alarm(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """Topics, properties and payloads at random while alarms are sent: all arrive, over one connection, in time."""
    broker = mosquitto()
    alarms = Subscriber(broker, "inspectd/plant/cam/alarm")  # commands are fuzzed that are called alarm
    desk = Subscriber(broker, "desk/#")
    fuzzed, sent = FuzzedMessages(seed=count), threading.Event()
    accepted: dict[int, float] = {}

    def delays(numbers: range) -> list[float]:
        arrived = dict(zip(sequences(alarms.messages), (message.at for message in alarms.messages), strict=True))
        return [arrived[number] - accepted[number] for number in numbers]

    def send() -> None:
        # As fast as the agent takes commands: what comes faster is not even read.
        try:
            for _ in range(count):
                topic, payload, qos, retain, properties = fuzzed.next()
                desk.client.publish(topic, payload, qos, retain, properties)
                time.sleep(0.02)
        finally:
            sent.set()

    with caplog.at_level(logging.INFO), delivering(broker.url, tmp_path) as (outbox, publisher):
        MqttRequests(publisher, TOPICS, answer)
        wait_until(lambda: publisher.connected)

        def alarm() -> None:
            accepted[accept(outbox, f"a{len(accepted)}")] = time.monotonic()
            time.sleep(0.02)

        for _ in range(min(count, 1000)):
            alarm()
        quiet = range(1, len(accepted) + 1)
        threading.Thread(target=send, daemon=True).start()
        while not sent.is_set():
            alarm()
        assert publisher.wait_until_delivered(60)
        wait_until(lambda: len(alarms.messages) == len(accepted))
    busy = range(quiet.stop, len(accepted) + 1)
    assert sequences(alarms.messages) == [*quiet, *busy]
    assert caplog.text.count("connected (") == 1
    assert "unexpected error" not in caplog.text
    if count >= 10_000:
        p99_quiet, p99_busy = (float(np.percentile(delays(numbers), 99)) for numbers in (quiet, busy))
        assert p99_busy <= 2.0 * p99_quiet + 0.005, f"{p99_busy * 1e3:.1f} ms, quiet {p99_quiet * 1e3:.1f} ms"


def test_command_with_mqtt_3_1_1_is_read_too(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto()
    answers = Subscriber(broker, "inspectd/plant/+/response/#", protocol=paho.MQTTv311)
    with delivering(broker.url, tmp_path) as (_, publisher):
        MqttRequests(publisher, TOPICS, answer)

        def answered() -> bool:
            answers.client.publish("inspectd/plant/cam/command/pause", b"", 1).wait_for_publish(60)
            return bool(answers.messages)

        wait_until(answered)
