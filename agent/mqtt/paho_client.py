"""paho-mqtt, adapted: a client with a socket that reads ahead, packed properties, and errors as text."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties

from agent.mqtt.broker import explain
from agent.mqtt.packets import Received
from agent.mqtt.publish_packet import Malformed, read_publish
from agent.mqtt.read_ahead import ReadAhead

CONNECT_TIMEOUT_SECONDS = 5.0


class Protocol(IntEnum):
    """Protocol versions, by the level byte of CONNECT."""

    MQTT_3_1_1 = 4
    MQTT_5 = 5


class _Client(paho.Client):
    """paho's client with a socket that reads ahead, and messages that cannot end the connection.

    If a later paho renames these methods, it reads in small pieces, and reads PUBLISH by itself: `on_message`.
    """

    on_received: Callable[[Received], None]

    def _create_socket(self) -> Any:
        return ReadAhead(super()._create_socket())

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet
        if packet["command"] >> 1 & 3 == 2:  # nothing subscribes at QoS 2
            return super()._handle_publish()
        try:
            read = read_publish(packet["command"], bytes(packet["packet"]), properties=self._protocol == paho.MQTTv5)
        except Malformed:
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        if read.message is not None:
            self.on_received(read.message)
        return self._send_puback(read.mid) if read.mid else MQTTErrorCode.MQTT_ERR_SUCCESS


class PackedProperties:
    """Properties that are packed already; as much of paho's interface as it uses."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def pack(self) -> bytes:
        return self._packed


def new_client(
    client_id: str,
    protocol: Protocol,
    *,
    clean_start: bool,
    on_received: Callable[[Received], None],
    on_error: Callable[[str], None],
) -> paho.Client:
    """A client for one connection: no reconnect, and each error that paho logs is passed to `on_error` as text."""
    five = protocol is Protocol.MQTT_5
    client = _Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=paho.MQTTv5 if five else paho.MQTTv311,
        clean_session=None if five else clean_start,
        reconnect_on_failure=False,
    )
    client.on_received = on_received
    client.connect_timeout = CONNECT_TIMEOUT_SECONDS
    client.on_socket_open = _set_no_delay
    # A logger, not `on_log`: for that, paho would format a line for every packet.
    client.enable_logger(_logger_of_errors(on_error))
    return client


def new_properties(packet: int) -> Any:
    """An empty set of MQTT 5 properties for a type of packet; paho gives its class no types."""
    return Properties(packet)  # type: ignore[no-untyped-call]


def reason_text(reason: Any) -> str:
    """Why a connection ended. paho calls a connection closed without a reason an unspecified error (0x80)."""
    return "the other side closed the connection" if reason.value == 0x80 else f"connection lost: {reason}"


def topic_of(message: Any) -> str:
    """The topic of a received message; paho raises if it is not UTF-8."""
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return "�"


def _set_no_delay(client: Any, userdata: Any, sock: Any) -> None:
    """Send small packets at once, without waiting for earlier ones to be acknowledged (TCP_NODELAY)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _logger_of_errors(on_error: Callable[[str], None]) -> logging.Logger:
    """A logger apart from all others that passes each error to `on_error` and ignores the rest."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            parts = record.args if isinstance(record.args, tuple) else ()
            error = next((part for part in parts if isinstance(part, OSError)), None)
            on_error(record.getMessage() if error is None else explain(error))

    logger = logging.Logger("paho", logging.ERROR)
    logger.addHandler(Handler())
    return logger
