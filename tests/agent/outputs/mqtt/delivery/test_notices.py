"""Notices: one-off messages that wait for the broker in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.mqtt import Outgoing, Protocol
from agent.outputs.mqtt.delivery.notices import MAX_NOTICES, NOTICE_ATTEMPTS, Notices
from tests.support.broker import Mosquitto, Subscriber, wait_until
from tests.support.delivery import QUICK, TOPICS, accept, delivering

StartBroker = Callable[..., Mosquitto]


def payloads(notices: Notices) -> list[bytes]:
    """Of all that waits, in order; removes it."""
    found = []
    while (first := notices.first()) is not None:
        found.append(first[1].payload)
        notices.remove(first[0])
    return found


def test_oldest_notices_are_dropped_if_there_are_too_many() -> None:
    notices = Notices()
    for number in range(MAX_NOTICES + 5):
        notices.put(Outgoing("t", str(number).encode()))
    assert len(notices) == MAX_NOTICES
    assert payloads(notices) == [str(number).encode() for number in range(5, MAX_NOTICES + 5)]


def test_of_a_retained_topic_only_the_latest_notice_is_kept() -> None:
    notices = Notices()
    for payload in (b"1", b"2"):
        notices.put(Outgoing("retained", payload, retain=True))
        notices.put(Outgoing("event", payload))
    assert payloads(notices) == [b"1", b"2", b"2"]


def test_attempts_are_counted_for_each_notice() -> None:
    notices = Notices()
    assert [notices.may_be_sent(1) for _ in range(NOTICE_ATTEMPTS + 1)] == [True] * NOTICE_ATTEMPTS + [False]
    assert notices.may_be_sent(2)


def test_notice_waits_for_a_broker_that_is_away_and_arrives_once(mosquitto: StartBroker, tmp_path: Path) -> None:
    broker = mosquitto(persistence=True)
    subscriber = Subscriber(broker, "inspectd/#", client_id="desk")
    subscriber.close()
    broker.stop()
    with delivering(broker.url, tmp_path) as (_, publisher):
        for number in range(3):
            publisher.notify(Outgoing(TOPICS.event("cam"), b'{"number":%d}' % number))
        broker.start()
        subscriber = Subscriber(broker, "inspectd/#", client_id="desk")
        wait_until(lambda: len(subscriber.on("/event")) == 3)
    wait_until(lambda: b"stopped" in subscriber.on("/status")[-1].payload)
    assert [json.loads(message.payload)["number"] for message in subscriber.on("/event")] == [0, 1, 2]
    assert not any(message.retained for message in subscriber.on("/event"))


def test_notice_in_flight_when_the_connection_hangs_arrives_nevertheless(
    mosquitto: StartBroker, tmp_path: Path
) -> None:
    broker = mosquitto()
    with delivering(broker.url, tmp_path, timing=QUICK) as (_, publisher):
        wait_until(lambda: publisher.connected)
        broker.suspend()
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        wait_until(lambda: not publisher.connected)
        broker.kill()
        broker.start()
        subscriber = Subscriber(broker, "inspectd/#")
        wait_until(lambda: subscriber.on("/event"))


def test_notice_that_is_rejected_or_too_large_delays_nothing(
    mosquitto: StartBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rights = tmp_path / "acl"
    rights.write_text("topic read #\ntopic write inspectd/plant/+/alarm\ntopic write inspectd/plant/free/event\n")
    broker = mosquitto(lines=[f"acl_file {rights}", "max_packet_size 2000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path) as (outbox, publisher):
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        publisher.notify(Outgoing(TOPICS.event("free"), b"x" * 3000))
        publisher.notify(Outgoing(TOPICS.event("free"), b"{}"))
        accept(outbox, "a1")
        wait_until(lambda: subscriber.on("/event") and subscriber.on("/alarm"))
    assert [message.payload for message in subscriber.on("/event")] == [b"{}"]
    assert "rejects a notice" in caplog.text
    assert "3000 bytes, the broker accepts packets up to 2000 bytes" in caplog.text


@pytest.mark.parametrize("protocol", Protocol)
def test_notice_that_ends_the_connection_is_given_up_and_alarms_are_delivered(
    mosquitto: StartBroker, tmp_path: Path, protocol: Protocol
) -> None:
    """No broker announces Mosquitto's `message_size_limit`."""
    broker = mosquitto(lines=["message_size_limit 20000"])
    subscriber = Subscriber(broker, "inspectd/#")
    with delivering(broker.url, tmp_path, protocol=protocol, timing=QUICK) as (outbox, publisher):
        publisher.notify(Outgoing(TOPICS.snapshot("cam", "frame"), b"x" * 50_000, retain=True))
        publisher.notify(Outgoing(TOPICS.event("cam"), b"{}"))
        accept(outbox, "a1")
        wait_until(lambda: subscriber.on("/event") and subscriber.on("/alarm"))
    assert not subscriber.on("/frame")
