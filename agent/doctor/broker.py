"""Checks the broker: it answers, accepts our login, and allows what the agent does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from agent.core.errors import InspectdError, Temporary
from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.doctor.credentials import STORES, install_password, with_credentials
from agent.mqtt import (
    Acknowledged,
    Broker,
    Connected,
    Connection,
    ConnectionLost,
    Outgoing,
    Protocol,
    Subscribed,
    UnsupportedVersion,
)
from agent.outputs.mqtt import Topics
from agent.outputs.mqtt.settings import broker_of
from agent.settings import Settings

EventT = TypeVar("EventT", Connected, Acknowledged, Subscribed)

ANSWER_SECONDS = 5.0

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

# Reason codes of MQTT 5 from here on are errors. A PUBACK of MQTT 3.1.1 has no reason code.
FIRST_ERROR = 0x80


def check_broker(settings: Settings, config: Path, stores: Sequence[Path] = STORES) -> Iterator[CheckResult]:
    """Address, TLS and password; then one publication, on a topic without subscribers, and one subscription.

    stores: the folders that systemd takes the service's credentials from.
    """
    try:
        broker = broker_of(with_credentials(settings.mqtt, config, stores))
    except InspectdError as error:
        yield problem("broker", str(error), "set mqtt.url, such as mqtt://192.0.2.10:1883")
        return
    try:
        yield from _try_protocols(broker, settings)
    except InspectdError as error:
        yield problem("broker", str(error), _fix(error, broker, settings, config))


def _fix(error: InspectdError, broker: Broker, settings: Settings, config: Path) -> str:
    """A login for a broker that rejects ours; a broker where none runs; otherwise commands that test the network."""
    if isinstance(error, ConnectionLost) and error.explained:
        user = "" if settings.mqtt.username is not None else f"set mqtt.username in {config}, then "
        return f"{user}{install_password(config)}"
    if broker.host in LOCAL_HOSTS:
        return "sudo apt install mosquitto && sudo systemctl enable --now mosquitto"
    return f"ping -c 3 {broker.host}; then nc -vz {broker.host} {broker.port}, also on a machine beside the broker"


def _try_protocols(broker: Broker, settings: Settings) -> Iterator[CheckResult]:
    try:
        yield from _check(broker, settings, Protocol.MQTT_5)
    except UnsupportedVersion:
        text = (
            f"{broker.name} does not know MQTT 5: it gives no reasons when it rejects, and cannot delay the last will"
        )
        yield warning("broker", text, "install a newer broker, such as Mosquitto 2")
        yield from _check(broker, settings, Protocol.MQTT_3_1_1)


def _check(broker: Broker, settings: Settings, protocol: Protocol) -> Iterator[CheckResult]:
    # Not the agent's client id: the broker would disconnect the running agent.
    connection = Connection(broker, client_id=f"inspectd-doctor-{uuid.uuid4().hex[:8]}", protocol=protocol)
    try:
        connection.open()
        connected = _await(connection, Connected)
        limit = connected.maximum_packet_bytes
        packets = "" if limit is None else f", packets up to {limit} bytes"
        user = settings.mqtt.username
        login = "clients without a login" if user is None else f"the login of {user}"
        yield ok("broker", f"{broker.name} accepts {login}{packets}")
        yield from _check_offer(connected, broker)
        qos = min(1, connected.maximum_qos)
        yield from _check_rights(connection, settings.mqtt.topics(settings.site), settings, qos)
        connection.disconnect()
    finally:
        connection.close()


def _check_offer(connected: Connected, broker: Broker) -> Iterator[CheckResult]:
    """What the agent can do without, but subscribers miss."""
    if not connected.retain_available:
        text = f"{broker.name} keeps no retained messages: a later subscriber does not see status and states"
        yield warning("broker", text, "set retain_available true in mosquitto.conf")
    if connected.maximum_qos < 1:
        text = f"{broker.name} offers QoS 0 only: an alarm counts as delivered once it is sent, and may be lost"
        yield warning("broker", text, "set max_qos 1 in mosquitto.conf")


def _check_rights(connection: Connection, topics: Topics, settings: Settings, qos: int) -> Iterator[CheckResult]:
    """The broker's access rules allow what the agent does."""
    answer = f"{topics.base}/response/doctor"
    connection.publish(Outgoing(answer, b"{}", qos=qos, media_type="application/json"))
    published = _await(connection, Acknowledged)
    fix = "allow it in the acl_file that mosquitto.conf names"
    if published.code >= FIRST_ERROR:
        yield problem("broker rights", f"the agent may not publish to {topics.base}/#: {published.reason}", fix)
        return
    commands = f"{topics.base}/+/command/#"
    connection.subscribe(commands)
    subscribed = _await(connection, Subscribed)
    if subscribed.code >= FIRST_ERROR:
        yield warning("broker rights", f"the agent may not subscribe to {commands}: no commands over MQTT", fix)
    elif not settings.mqtt.commands_trusted:
        text = "any client may send commands to this broker, so the agent accepts none over MQTT"
        yield warning("broker rights", text, "set mqtt.username, or an mqtts:// URL")
    else:
        yield ok("broker rights", f"the agent may publish to {topics.base}/# and subscribe to commands")


def _await(connection: Connection, kind: type[EventT]) -> EventT:
    """The next event of this kind. Raises Temporary if there is none in time."""
    end = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < end:
        for event in connection.turn(0.2):
            if isinstance(event, kind):
                return event
    raise Temporary(f"the broker did not answer within {ANSWER_SECONDS:g} s")
