"""One connection: its last will, and how it ends."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from agent.outputs.mqtt.broker import Broker
from agent.outputs.mqtt.connection import Connection, ConnectionLost
from agent.outputs.mqtt.packets import Connected, Outgoing
from agent.outputs.mqtt.read_ahead import ReadAhead
from tests.support.broker import Mosquitto, Subscriber, wait_until

StartBroker = Callable[..., Mosquitto]
WILL = Outgoing("inspectd/plant/status", b"offline", retain=True, media_type="application/json")


def connect(broker: Mosquitto, *, client_id: str = "agent", will_delay_seconds: int = 2) -> Connection:
    options = Broker(broker.url, will_delay_seconds=will_delay_seconds)
    connection = Connection(
        options, client_id=client_id, will=WILL, session_expiry_seconds=will_delay_seconds, clean_start=False
    )
    connection.open()
    events: list[object] = []
    wait_until(lambda: events.extend(connection.turn(0.1)) or events)
    assert isinstance(events[0], Connected)
    return connection


def until_lost(connection: Connection) -> str:
    """Takes turns until the connection is gone; what is said of it then."""
    end = time.monotonic() + 10
    try:
        while time.monotonic() < end:
            connection.turn(0.1)
    except ConnectionLost as lost:
        return str(lost)
    raise AssertionError("the connection stands")


def test_last_will_comes_after_its_delay(mosquitto: StartBroker) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    connection = connect(broker)
    lost_at = time.monotonic()
    connection.close()
    wait_until(lambda: subscriber.messages)
    assert subscriber.messages[0].payload == b"offline"
    assert subscriber.messages[0].at - lost_at >= 1.0


def test_link_that_flaps_does_not_flap_the_plant(mosquitto: StartBroker) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    for _ in range(3):
        connect(broker).close()
    connection = connect(broker)
    subscriber.publish("inspectd/marker", b"")
    time.sleep(3.0)
    connection.turn(0.0)
    assert [message.topic for message in subscriber.messages] == ["inspectd/marker"]
    connection.close()


def test_proper_end_withdraws_the_last_will(mosquitto: StartBroker) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker, "inspectd/#")
    connection = connect(broker, will_delay_seconds=0)
    connection.disconnect()
    until_lost(connection)
    time.sleep(0.5)
    assert subscriber.messages == []


def test_session_taken_over_ends_the_connection(mosquitto: StartBroker) -> None:
    """Two agents of one name; Mosquitto 2.0 closes the first without saying why."""
    broker = mosquitto()
    first = connect(broker)
    second = connect(broker)
    assert re.search("taken over|other side closed", until_lost(first))
    second.close()
    first.close()


def test_packet_size_is_never_underestimated() -> None:
    """Beside what paho makes of it."""
    connection = Connection(Broker("mqtt://127.0.0.1:9"), client_id="x")
    for topic in ("a", "inspectd/größe/cam/alarm"):
        for extra in ((), (("alarm", "x" * 36), ("sequence", "123"), ("part", "heatmap"))):
            for payload in (b"", bytes(127), bytes(20_000)):
                message = Outgoing(topic, payload, media_type="image/png", user_properties=extra)
                properties = len(connection._properties(message).pack())
                least = 2 + 2 + len(topic.encode()) + 2 + properties + len(payload)
                assert least <= message.packet_bytes() <= least + 40


def test_paho_reads_through_a_socket_that_reads_ahead(mosquitto: StartBroker) -> None:
    """It is put in where paho makes its socket, by a name that a later paho may change."""
    connection = connect(mosquitto())
    assert isinstance(connection._client.socket(), ReadAhead)
    connection.close()
