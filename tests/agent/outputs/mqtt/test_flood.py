"""A flood of commands: what it may cost, with a real broker."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest

from agent.core.problems import Problems
from agent.messages import CommandResponse
from agent.mqtt import CommandMessage
from agent.outputs.mqtt import flood
from agent.outputs.mqtt.flood import Rejections
from agent.outputs.mqtt.requests import MqttRequests
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import TOPICS, accept, delivering, sequences

StartBroker = Callable[..., Mosquitto]


def answer(name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
    return CommandResponse(command=name, site="plant", camera=camera, at=datetime.now(timezone.utc), ok=True)


def test_rejections_beyond_the_limit_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    rejections, allowed = Rejections(), 0
    for _ in range(1000):
        allowed += rejections.allows("not allowed", now=100.0)
    rejections.summarise(now=101.0)
    rejections.summarise(now=102.0)
    assert allowed == flood.REJECTIONS_AT_ONCE
    assert [record.getMessage() for record in caplog.records] == [
        "980 commands dropped without a response, the latest: not allowed"
    ]


def test_flood_delays_no_alarm_and_ends_in_a_pause(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While thousands of commands arrive, alarms do; then commands are taken again."""
    monkeypatch.setattr("agent.outputs.mqtt.requests.PAUSE_SECONDS", 1.0)
    broker, problems = mosquitto(), Problems()
    alarms, desk = Subscriber(broker, "inspectd/+/+/alarm"), Subscriber(broker, "desk/#")
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            for _ in range(60):
                desk.client.publish("inspectd/plant/cam/command/pause", b"{}", 0)

    with caplog.at_level(logging.INFO), delivering(broker.url, tmp_path) as (outbox, publisher):
        MqttRequests(publisher, TOPICS, answer, trusted=False, problems=problems)
        wait_until(lambda: publisher.connected)
        threading.Thread(target=send, daemon=True).start()
        wait_until(lambda: "takes none over MQTT" in caplog.text, what="a pause")
        assert problems.all() == ["more than 50 commands a second arrive over MQTT: some are dropped"]
        for number in range(20):
            accept(outbox, f"a{number}")
            assert publisher.wait_until_delivered(60)
        over.set()

        def answered() -> bool:
            desk.publish("inspectd/plant/cam/command/pause", b"{}", ResponseTopic="desk/me")
            time.sleep(0.1)
            return any(message.topic == "desk/me" for message in desk.messages)

        wait_until(answered, what="a response after the flood")
    wait_until(lambda: sequences(alarms.messages) == list(range(1, 21)))
    assert len(caplog.text) < 20_000
    assert caplog.text.count("connected (") == 1


def test_alarms_are_sent_before_responses(mosquitto: StartBroker, tmp_path: Path) -> None:
    """More responses than the window holds wait for the broker, and an alarm of each of ten cameras."""
    broker = mosquitto()
    broker.stop()
    request = CommandMessage("inspectd/plant/command/status", b"", False, "desk/me", None, None, 0.0)
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        for _ in range(60):
            publisher.respond(request, b"{}", fallback_topic="inspectd/plant/response/status")
        for number in range(10):
            accept(outbox, f"a{number}", camera=f"cam{number}")
        broker.start()
        subscriber = Subscriber(broker, "inspectd/+/+/alarm", "desk/me")
        wait_until(lambda: len(subscriber.messages) == 70 or publisher.wait_until_delivered(0.1))
        wait_until(lambda: len(subscriber.on("desk/me")) > 0)
    topics = [message.topic for message in subscriber.messages]
    first = topics.index("desk/me")
    assert all(topic.endswith("/alarm") for topic in topics[:first])
    assert sum(topic.endswith("/alarm") for topic in topics[first:]) == 0


def test_window_full_of_responses_has_a_place_for_an_alarm(mosquitto: StartBroker, tmp_path: Path) -> None:
    """The broker acknowledges nothing: of twenty messages in flight, nineteen are responses."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/+/+/alarm", "desk/me")
    request = CommandMessage("inspectd/plant/command/status", b"", False, "desk/me", None, None, 0.0)
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        wait_until(lambda: publisher.connected)
        accept(outbox, "first")
        assert publisher.wait_until_delivered(60)
        link = publisher._link
        assert link is not None
        session = link._session
        assert session is not None
        wait_until(lambda: not session._in_flight, what="the PUBACK of `status`")
        broker.suspend()
        for _ in range(60):
            publisher.respond(request, b"{}", fallback_topic="inspectd/plant/response/status")
        wait_until(lambda: session._in_flight.room <= 1)
        accept(outbox, "second")
        wait_until(lambda: session._in_flight.room == 0)
        assert [row.alarm for row in session._in_flight.rows] == ["second"]
        broker.resume()
        wait_until(lambda: len(subscriber.messages) == 62)
    order = [json.loads(m.payload).get("id") for m in subscriber.messages]
    assert order.index("second") <= 21
