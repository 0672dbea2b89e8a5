"""One connection: its last will, and how it ends.

What a broker does after a delay is decided by the order of its messages, not by the time that they take.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.mqtt import Connected, Connection, ConnectionLost, Outgoing
from agent.mqtt.broker import Broker
from agent.mqtt.read_ahead import ReadAhead
from tests.support.broker import Mosquitto, Subscriber, wait_until

StartBroker = Callable[..., Mosquitto]


def connect(broker: Mosquitto, client_id: str = "agent", *, will_delay_seconds: int = 1) -> Connection:
    """A connection whose will is published on `inspectd/<client id>`."""
    options = Broker(broker.url, will_delay_seconds=will_delay_seconds)
    connection = Connection(
        options,
        client_id=client_id,
        will=Outgoing(f"inspectd/{client_id}", b"offline", retain=True, media_type="application/json"),
        session_expiry_seconds=will_delay_seconds,
        clean_start=False,
    )
    connection.open()
    events: list[object] = []
    wait_until(lambda: events.extend(connection.turn(0.1)) or events)
    assert isinstance(events[0], Connected)
    return connection


def turn_until_lost(connection: Connection) -> str:
    """Take turns until the connection has ended; the reason."""
    reasons: list[str] = []

    def lost() -> bool:
        try:
            connection.turn(0.1)
        except ConnectionLost as error:
            reasons.append(str(error))
        return bool(reasons)

    wait_until(lost, what="the end of the connection")
    return reasons[0]


def topics(subscriber: Subscriber) -> list[str]:
    return [message.topic for message in list(subscriber.messages)]


def test_last_will_is_published_after_its_delay(mosquitto: StartBroker) -> None:
    """The one with the longer delay is lost first, and its will is published last."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    slow, quick = connect(broker, "slow", will_delay_seconds=3), connect(broker, "quick", will_delay_seconds=1)
    slow.close()
    quick.close()
    wait_until(lambda: len(topics(subscriber)) == 2)
    assert topics(subscriber) == ["inspectd/quick", "inspectd/slow"]
    assert {message.payload for message in subscriber.messages} == {b"offline"}


def test_connection_that_is_restored_within_the_delay_publishes_no_will(mosquitto: StartBroker) -> None:
    """Its will would have been due before that of another client, which is lost later and has a longer delay."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    for _ in range(3):
        connect(broker, "flapping").close()
    restored = connect(broker, "flapping")
    connect(broker, "other", will_delay_seconds=2).close()
    wait_until(lambda: topics(subscriber))
    assert topics(subscriber) == ["inspectd/other"]
    restored.turn(0.0)  # raises if the connection has ended
    restored.close()


def test_disconnect_withdraws_the_last_will(mosquitto: StartBroker) -> None:
    """Without a delay, the broker would publish it before it takes the next message."""
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    connection = connect(broker, will_delay_seconds=0)
    connection.disconnect()
    turn_until_lost(connection)
    connect(broker, "other", will_delay_seconds=0).close()
    wait_until(lambda: topics(subscriber))
    subscriber.publish("inspectd/marker", b"")
    wait_until(lambda: "inspectd/marker" in topics(subscriber))
    assert topics(subscriber) == ["inspectd/other", "inspectd/marker"]


def test_second_connection_with_the_same_client_id_ends_the_first(mosquitto: StartBroker) -> None:
    """Two agents with one name. Mosquitto 2.0 closes the first connection without a reason."""
    broker = mosquitto()
    first = connect(broker)
    second = connect(broker)
    assert re.search("taken over|other side closed", turn_until_lost(first))
    second.close()
    first.close()


def test_packet_size_is_never_underestimated() -> None:
    """Compared with what paho packs."""
    connection = Connection(Broker("mqtt://127.0.0.1:9"), client_id="x")
    for topic in ("a", "inspectd/größe/cam/alarm"):
        for extra in ((), (("alarm", "x" * 36), ("sequence", "123"), ("part", "heatmap"))):
            for payload in (b"", bytes(127), bytes(20_000)):
                message = Outgoing(topic, payload, media_type="image/png", user_properties=extra)
                properties = len(connection._properties(message).pack())
                least = 2 + 2 + len(topic.encode()) + 2 + properties + len(payload)
                assert least <= message.packet_bytes() <= least + 40


def test_paho_reads_through_a_socket_that_reads_ahead(mosquitto: StartBroker) -> None:
    """It is put in place by overriding a private method of paho, which a later version may rename."""
    connection = connect(mosquitto())
    assert isinstance(connection._client.socket(), ReadAhead)
    connection.close()
