"""Checks of the broker: reachable, lets us in, and lets us do what the agent will do."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from agent.core.errors import InspectdError, Temporary
from agent.doctor.credentials import as_the_service_sees, install_password
from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.outputs.mqtt import (
    Acknowledged,
    Broker,
    Connected,
    Connection,
    ConnectionLost,
    Outgoing,
    Protocol,
    Subscribed,
    Topics,
    UnsupportedVersion,
)
from agent.outputs.mqtt.settings import broker_of
from agent.settings import Settings

EventT = TypeVar("EventT", Connected, Acknowledged, Subscribed)

ANSWER_SECONDS = 5.0

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

# Reason codes of MQTT 5 from here on say no; 3.1.1 has none in a PUBACK.
REFUSED = 0x80


def check_broker(settings: Settings, config: Path) -> Iterator[CheckResult]:
    """Address, TLS, password; then a subscription to commands and a publication, which nobody listens to."""
    try:
        broker = broker_of(as_the_service_sees(settings.mqtt, config))
    except InspectdError as error:
        yield problem("broker", str(error), "set mqtt.url, such as mqtt://192.0.2.10:1883")
        return
    try:
        yield from _visit_either(broker, settings)
    except InspectdError as error:
        yield problem("broker", str(error), _mend(error, broker, settings, config))


def _mend(error: InspectdError, broker: Broker, settings: Settings, config: Path) -> str:
    """By who is at fault: the one who asks, the broker that is not there, or the way to it."""
    if isinstance(error, ConnectionLost) and error.explained:
        named = "" if settings.mqtt.username is not None else f"set mqtt.username in {config}, then "
        return f"{named}{install_password(config)}"
    if broker.host in LOCAL_HOSTS:
        return "sudo apt install mosquitto && sudo systemctl enable --now mosquitto"
    return f"ping -c 3 {broker.host}; then nc -vz {broker.host} {broker.port}, on a machine beside the broker too"


def _visit_either(broker: Broker, settings: Settings) -> Iterator[CheckResult]:
    try:
        yield from _visit(broker, settings, Protocol.MQTT_5)
    except UnsupportedVersion:
        text = f"{broker.name} speaks no MQTT 5: it cannot say why it refuses, nor delay the last will"
        yield warning("broker", text, "a newer broker, such as Mosquitto 2")
        yield from _visit(broker, settings, Protocol.MQTT_3_1_1)


def _visit(broker: Broker, settings: Settings, protocol: Protocol) -> Iterator[CheckResult]:
    # A name of its own: with the agent's, the broker would throw the running agent out.
    connection = Connection(broker, client_id=f"inspectd-doctor-{uuid.uuid4().hex[:8]}", protocol=protocol)
    topics = settings.mqtt.topics(settings.site)
    try:
        connection.open()
        entered = _await(connection, Connected)
        yield ok("broker", f"{broker.name} lets {settings.mqtt.username or 'anybody'} in{_limit(entered)}")
        yield from _may(connection, topics, settings)
        connection.disconnect()
    finally:
        connection.close()


def _limit(entered: Connected) -> str:
    limit = entered.maximum_packet_bytes
    return "" if limit is None else f", packets up to {limit} bytes"


def _may(connection: Connection, topics: Topics, settings: Settings) -> Iterator[CheckResult]:
    """Whether the broker's rights allow what the agent does."""
    answer = f"{topics.base}/response/doctor"
    connection.publish(Outgoing(answer, b"{}", media_type="application/json"))
    published = _await(connection, Acknowledged)
    rights = "see acl_file in mosquitto.conf"
    if published.code >= REFUSED:
        yield problem("broker rights", f"may not publish to {topics.base}/#: {published.reason}", rights)
        return
    commands = f"{topics.base}/+/command/#"
    connection.subscribe(commands)
    subscribed = _await(connection, Subscribed)
    if subscribed.code >= REFUSED:
        yield warning("broker rights", f"may not subscribe to {commands}: no commands over MQTT", rights)
    elif not settings.mqtt.commands_trusted:
        text = "anybody may send commands here, so none is taken"
        yield warning("broker rights", text, "set mqtt.username, or an mqtts:// url")
    else:
        yield ok("broker rights", f"may publish to {topics.base}/# and subscribe to commands")


def _await(connection: Connection, kind: type[EventT]) -> EventT:
    """The next event of this kind. Raises Temporary where none comes."""
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        for event in connection.turn(0.2):
            if isinstance(event, kind):
                return event
    raise Temporary(f"the broker gave no answer within {ANSWER_SECONDS:g} s")
