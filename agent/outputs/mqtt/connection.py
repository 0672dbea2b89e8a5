"""One connection to the broker, from CONNECT to its end. paho-mqtt does the protocol and does not outlive it.

paho keeps a queue of its own, which after a reconnect floods the broker past its Receive Maximum, and a network thread
that a raising callback kills. So here every connection is a new paho client, driven by the caller's thread, with
callbacks that only note what happened: `turn` hands the notes over.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.core.errors import Temporary
from agent.outputs.mqtt.broker import Broker, explain
from agent.outputs.mqtt.packets import Acknowledged, Connected, ConnectionEvent, Outgoing, Received, Subscribed
from agent.outputs.mqtt.read_ahead import ReadAhead

CONNECT_TIMEOUT_SECONDS = 5.0

# MQTT 5, 3.2.2.3.3: what a broker that names no Receive Maximum takes.
DEFAULT_RECEIVE_MAXIMUM = 65_535

# Reason of a connection that we gave up ourselves, for want of an answer to a ping.
KEEP_ALIVE_TIMEOUT = 0x8D

# CONNACK of a broker that does not know the protocol version: MQTT 5 (0x84) and MQTT 3.1.1 (1).
_UNSUPPORTED_VERSION = {0x84, 1}


class Protocol(IntEnum):
    """Protocol versions, by the level byte of CONNECT."""

    MQTT_3_1_1 = 4
    MQTT_5 = 5


class UnsupportedVersion(Temporary):
    """The broker does not speak this version of the protocol."""


class ConnectionLost(Temporary):
    """The connection is gone."""

    def __init__(self, text: str, *, closed_by_broker: bool = False, explained: bool = False) -> None:
        """`closed_by_broker`: the other side ended it; `explained`: and said why."""
        super().__init__(text)
        self.closed_by_broker = closed_by_broker
        self.explained = explained


class Connection:
    """One connection, for the thread that made it. Raises `Temporary`: `ConnectionLost` and `UnsupportedVersion`."""

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        protocol: Protocol = Protocol.MQTT_5,
        will: Outgoing | None = None,
        wake: socket.socket | None = None,
        session_expiry_seconds: int = 0,
        clean_start: bool = True,
    ) -> None:
        """`wake`: a socket whose readability ends a `turn` early. Opens nothing yet."""
        self._broker = broker
        self._protocol = protocol
        self._wake = wake
        self._session_expiry_seconds = session_expiry_seconds
        self._clean_start = clean_start
        self._events: deque[ConnectionEvent] = deque()
        self._end: ConnectionLost | UnsupportedVersion | None = None
        self._last_error = ""
        self._filters: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[int, int] | None = None
        self._client = self._new_client(client_id)
        if will is not None:
            self._set_will(will)

    def open(self) -> None:
        """TCP, TLS and CONNECT; whether the broker lets us in is told by `turn`."""
        self._authenticate()
        broker = self._broker
        try:
            if self._protocol is Protocol.MQTT_5:
                properties = _properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session_expiry_seconds
                self._client.connect(
                    broker.host,
                    broker.port,
                    keepalive=broker.keepalive_seconds,
                    clean_start=self._clean_start,
                    properties=properties,
                )
            else:
                self._client.connect(broker.host, broker.port, keepalive=broker.keepalive_seconds)
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"broker {broker.name}: {explain(error)}") from error
        if self._wake is not None:
            self._selector.register(self._wake, selectors.EVENT_READ)

    def turn(self, timeout_seconds: float) -> list[ConnectionEvent]:
        """Sends and receives what there is, waiting for it at most `timeout_seconds`; what happened meanwhile.

        Raises `ConnectionLost` once everything that happened before was handed over.
        """
        if self._end is None:
            self._exchange(0.0 if self._events else timeout_seconds)
        if self._events:
            events = list(self._events)
            self._events.clear()
            return events
        if self._end is not None:
            raise self._end
        return []

    def publish(self, message: Outgoing) -> int:
        """Hands a message to the network; returns the id that its `Acknowledged` will carry."""
        info = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, properties=self._properties(message)
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._end or ConnectionLost(f"broker {self._broker.name}: cannot send: {paho.error_string(info.rc)}")
        return info.mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Its `Subscribed` will say whether the broker agrees. A retained message says so also while it is new."""
        if self._protocol is Protocol.MQTT_5:
            options = SubscribeOptions(qos, retainAsPublished=True)
            result, mid = self._client.subscribe(topic_filter, options=options)
        else:
            result, mid = self._client.subscribe(topic_filter, qos)
        if result != paho.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectionLost(f"broker {self._broker.name}: cannot subscribe: {paho.error_string(result)}")
        self._filters[mid] = topic_filter

    def disconnect(self) -> None:
        """Says goodbye: the broker then keeps the last will to itself."""
        self._client.disconnect()

    def close(self) -> None:
        """Lets go of the socket without a word."""
        self._selector.close()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # Making it

    def _new_client(self, client_id: str) -> paho.Client:
        five = self._protocol is Protocol.MQTT_5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if five else paho.MQTTv311,
            clean_session=None if five else self._clean_start,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_SECONDS
        client.on_socket_open = _at_once
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        # A logger, not `on_log`, for which paho would put every packet into words.
        client.enable_logger(_errors_to(self._note_error))
        return client

    def _authenticate(self) -> None:
        context = self._broker.tls_context()
        if context is not None:
            self._client.tls_set_context(context)
        if self._broker.username is not None:
            self._client.username_pw_set(self._broker.username, self._broker.password())

    def _set_will(self, will: Outgoing) -> None:
        properties = None
        if self._protocol is Protocol.MQTT_5:
            properties = _properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = self._broker.will_delay_seconds
            if will.media_type is not None:
                properties.ContentType = will.media_type
        self._client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def _properties(self, message: Outgoing) -> Any:
        return _Packed(message.pack_properties()) if self._protocol is Protocol.MQTT_5 else None

    # Running it

    def _exchange(self, timeout_seconds: float) -> None:
        sock = self._client.socket()
        if sock is None:
            self._lost("the connection is closed")
            return
        self._watch(sock)
        waiting = bool(getattr(sock, "pending", int)())
        ready = self._selector.select(0.0 if waiting else timeout_seconds)
        for key, mask in ready:
            if key.fileobj is self._wake:
                _drain(self._wake)
            else:
                waiting = waiting or bool(mask & selectors.EVENT_READ)
        client = self._client
        for step, wanted in (
            (lambda: client.loop_read(), waiting),
            (client.loop_write, client.want_write()),
            (client.loop_misc, True),
        ):
            code = paho.MQTT_ERR_SUCCESS if not wanted else self._step(step)
            if code != paho.MQTT_ERR_SUCCESS:
                self._lost(self._last_error or paho.error_string(code))
                return

    def _step(self, step: Callable[[], MQTTErrorCode]) -> MQTTErrorCode:
        return step() if self._client.socket() is not None else paho.MQTT_ERR_CONN_LOST

    def _watch(self, sock: Any) -> None:
        """Keeps the selector in step with what paho wants of its socket."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        wanted = (sock.fileno(), mask)
        if wanted == self._watched:
            return
        if self._watched is None:
            self._selector.register(sock, mask)
        else:
            self._selector.modify(sock, mask)
        self._watched = wanted

    def _lost(self, why: str, *, closed_by_broker: bool = True, explained: bool = False) -> None:
        if self._end is None:
            text = f"broker {self._broker.name}: {why}"
            self._end = ConnectionLost(text, closed_by_broker=closed_by_broker, explained=explained)

    # Callbacks: they note, and cannot raise

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            text = f"broker {self._broker.name} refuses the connection: {reason}"
            unsupported = reason.value in _UNSUPPORTED_VERSION
            self._end = UnsupportedVersion(text) if unsupported else ConnectionLost(text, explained=True)
            return
        self._events.append(
            Connected(
                session_present=bool(flags.session_present),
                receive_maximum=getattr(properties, "ReceiveMaximum", DEFAULT_RECEIVE_MAXIMUM),
                maximum_packet_bytes=getattr(properties, "MaximumPacketSize", None),
                retain_available=bool(getattr(properties, "RetainAvailable", 1)),
            )
        )

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        said = flags.is_disconnect_packet_from_server
        why = f"the broker ended the connection: {reason}" if said else self._last_error or _lost_text(reason)
        self._lost(why, closed_by_broker=reason.value != KEEP_ALIVE_TIMEOUT, explained=said)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        # In words only where somebody reads them: paho looks them up anew for every PUBACK.
        self._events.append(Acknowledged(mid, reason.value, str(reason) if reason.is_failure else "success"))

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        topic_filter = self._filters.pop(mid, "?")
        for reason in reasons:
            self._events.append(Subscribed(topic_filter, reason.value, str(reason)))

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        properties = message.properties
        self._events.append(
            Received(
                topic=_topic(message),
                payload=bytes(message.payload),
                qos=message.qos,
                retained=bool(message.retain),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation_data=getattr(properties, "CorrelationData", None),
                expiry_seconds=getattr(properties, "MessageExpiryInterval", None),
            )
        )

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        """Reads a TLS alert that has not been read: TLS 1.3 tells what is wrong with a certificate after the handshake.

        A write that fails because of it only says that the connection is closed.
        """
        try:
            sock.recv(1)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as error:
            self._last_error = explain(error)
        except OSError:
            pass

    def _note_error(self, text: str) -> None:
        self._last_error = text


class _Client(paho.Client):
    """paho's client with a socket that reads ahead; a paho that makes its socket by another name reads in pieces."""

    def _create_socket(self) -> Any:
        return ReadAhead(super()._create_socket())


class _Packed:
    """Properties that are packed already, as far as paho wants anything of them."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed

    def pack(self) -> bytes:
        return self._packed


def _at_once(client: Any, userdata: Any, sock: Any) -> None:
    """Has small packets sent without waiting for the acknowledgement of what was sent before (TCP_NODELAY)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _errors_to(note: Callable[[str], None]) -> logging.Logger:
    """A logger beside all others, which hands each error, in words, to `note` and ignores the rest."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            parts = record.args if isinstance(record.args, tuple) else ()
            error = next((part for part in parts if isinstance(part, OSError)), None)
            note(record.getMessage() if error is None else explain(error))

    logger = logging.Logger("paho", logging.ERROR)
    logger.addHandler(Handler())
    return logger


def _properties(packet: int) -> Any:
    """An empty set of MQTT 5 properties for a kind of packet; paho gives its class no types."""
    return Properties(packet)  # type: ignore[no-untyped-call]


def _lost_text(reason: Any) -> str:
    """paho calls a connection that was closed without a word an unspecified error (0x80)."""
    return "the other side closed the connection" if reason.value == 0x80 else f"connection lost: {reason}"


def _topic(message: Any) -> str:
    """The topic, also where it is not UTF-8, which paho passes on and then raises for."""
    try:
        return str(message.topic)
    except UnicodeDecodeError:
        return "�"


def _drain(wake: socket.socket | None) -> None:
    if wake is not None:
        try:
            while wake.recv(4096):
                pass
        except BlockingIOError:
            pass
