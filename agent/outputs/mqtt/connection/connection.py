"""One connection to the broker, from CONNECT to its end.

paho-mqtt implements the protocol, but is used for one connection only. Its own queue would flood the broker past its
Receive Maximum after a reconnect, and an exception in a callback ends its network thread. So each connection is a new
paho client driven by the caller's thread; the callbacks only record events, which `turn` returns.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.core.errors import Temporary
from agent.outputs.mqtt.broker import Broker, explain
from agent.outputs.mqtt.connection.last_will import QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, WillRejected
from agent.outputs.mqtt.connection.packets import (
    Acknowledged,
    Connected,
    ConnectionEvent,
    Outgoing,
    Received,
    Subscribed,
)
from agent.outputs.mqtt.connection.paho_client import (
    PackedProperties,
    Protocol,
    new_client,
    new_properties,
    reason_text,
    topic_of,
)

# The default of MQTT 5, 3.2.2.3.3, for a broker that sends no Receive Maximum.
DEFAULT_RECEIVE_MAXIMUM = 65_535

# Packets read in one turn at most: reading a flood must not keep our own messages from being sent.
PACKETS_PER_TURN = 100

# Reason code of a connection that our side gave up because a ping was not answered.
KEEP_ALIVE_TIMEOUT = 0x8D

# CONNACK of a broker that does not support the protocol version: MQTT 5 (0x84) and MQTT 3.1.1 (1).
_UNSUPPORTED_VERSION = {0x84, 1}

# CONNACK of a broker that rejects the login: user name or password, not authorized (MQTT 5; paho translates 3.1.1).
_LOGIN_REJECTED = {0x86, 0x87}

# DISCONNECT: another client has connected with the same client id (MQTT 5, 3.14.2.1).
_SESSION_TAKEN_OVER = 0x8E


class UnsupportedVersion(Temporary):
    """The broker does not support this version of the protocol."""


class ConnectionLost(Temporary):
    """The connection has ended."""

    def __init__(
        self, text: str, *, closed_by_broker: bool = False, explained: bool = False, taken_over: bool = False
    ) -> None:
        """`closed_by_broker`: the other side ended it; `explained`: and gave a reason; `taken_over`: that one."""
        super().__init__(text)
        self.closed_by_broker = closed_by_broker
        self.explained = explained
        self.taken_over = taken_over


class Connection:
    """One connection, used by one thread.

    Raises `Temporary`: `ConnectionLost`, `UnsupportedVersion` and `WillRejected`.
    """

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
        max_incoming_bytes: int | None = None,
    ) -> None:
        """Prepare the connection; `open` opens it.

        Args:
            broker: address and credentials.
            client_id: of two connections with the same id, the broker ends the first.
            protocol: version of MQTT.
            will: published by the broker if the connection ends without DISCONNECT.
            wake: a socket; when it becomes readable, `turn` returns early.
            session_expiry_seconds: how long the broker keeps the session after the connection (MQTT 5).
            clean_start: False to continue a session that the broker kept.
            max_incoming_bytes: the broker does not send larger packets (MQTT 5). None: no limit.
        """
        self._broker = broker
        self._protocol = protocol
        self._wake = wake
        self._session_expiry_seconds = session_expiry_seconds
        self._clean_start = clean_start
        self._max_incoming_bytes = max_incoming_bytes
        self._events: deque[ConnectionEvent] = deque()
        self._end: ConnectionLost | UnsupportedVersion | WillRejected | None = None
        self._last_error = ""
        self._filters: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[int, int] | None = None
        self._client = new_client(
            client_id,
            protocol,
            clean_start=clean_start,
            on_received=self._events.append,
            on_error=self._record_error,
        )
        self._set_callbacks()
        if will is not None:
            self._set_will(will)

    def open(self) -> None:
        """Connect with TCP and TLS, and send CONNECT; `turn` returns the broker's answer."""
        self._authenticate()
        broker = self._broker
        try:
            if self._protocol is Protocol.MQTT_5:
                properties = new_properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = self._session_expiry_seconds
                if self._max_incoming_bytes is not None:
                    properties.MaximumPacketSize = self._max_incoming_bytes
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
        """Send and receive what is possible, waiting at most `timeout_seconds`; returns the events so far.

        Raises `ConnectionLost` once all earlier events have been returned.
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
        """Start to send a message; returns the id that its `Acknowledged` will have."""
        info = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, properties=self._properties(message)
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._end or ConnectionLost(f"broker {self._broker.name}: cannot send: {paho.error_string(info.rc)}")
        return info.mid

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Subscribe; `Subscribed` has the broker's answer. The retain flag of new messages is kept (MQTT 5)."""
        if self._protocol is Protocol.MQTT_5:
            options = SubscribeOptions(qos, retainAsPublished=True)
            result, mid = self._client.subscribe(topic_filter, options=options)
        else:
            result, mid = self._client.subscribe(topic_filter, qos)
        if result != paho.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectionLost(f"broker {self._broker.name}: cannot subscribe: {paho.error_string(result)}")
        self._filters[mid] = topic_filter

    def unsubscribe(self, topic_filter: str) -> None:
        """End a subscription; no error if there is none."""
        result, _ = self._client.unsubscribe(topic_filter)
        if result != paho.MQTT_ERR_SUCCESS:
            raise ConnectionLost(f"broker {self._broker.name}: cannot unsubscribe: {paho.error_string(result)}")

    def disconnect(self) -> None:
        """Send DISCONNECT: the broker then does not publish the last will."""
        self._client.disconnect()

    def close(self) -> None:
        """Close the socket without DISCONNECT."""
        self._selector.close()
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    # Setting up

    def _set_callbacks(self) -> None:
        self._client.on_socket_close = self._on_socket_close
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe

    def _authenticate(self) -> None:
        context = self._broker.tls_context()
        if context is not None:
            self._client.tls_set_context(context)
        if self._broker.username is not None:
            self._client.username_pw_set(self._broker.username, self._broker.password())

    def _set_will(self, will: Outgoing) -> None:
        properties = None
        if self._protocol is Protocol.MQTT_5:
            properties = new_properties(PacketTypes.WILLMESSAGE)
            properties.WillDelayInterval = self._broker.will_delay_seconds
            if will.media_type is not None:
                properties.ContentType = will.media_type
        self._client.will_set(will.topic, will.payload, will.qos, will.retain, properties)

    def _properties(self, message: Outgoing) -> Any:
        return PackedProperties(message.pack_properties()) if self._protocol is Protocol.MQTT_5 else None

    # Sending and receiving

    def _exchange(self, timeout_seconds: float) -> None:
        sock = self._client.socket()
        if sock is None:
            self._lost("the connection is closed")
            return
        self._watch(sock)
        readable = bool(getattr(sock, "pending", int)())
        for key, mask in self._selector.select(0.0 if readable else timeout_seconds):
            if key.fileobj is self._wake:
                _drain(self._wake)
            else:
                readable = readable or bool(mask & selectors.EVENT_READ)
        client = self._client
        for step, wanted in (
            (self._read_packets, readable),
            (client.loop_write, client.want_write()),
            (client.loop_misc, True),
        ):
            code = paho.MQTT_ERR_SUCCESS if not wanted else self._step(step)
            if code != paho.MQTT_ERR_SUCCESS:
                self._lost(self._last_error or paho.error_string(code))
                return

    def _read_packets(self) -> MQTTErrorCode:
        """Read what has arrived, so that a PUBACK behind a hundred commands is read in this turn."""
        for _ in range(PACKETS_PER_TURN):
            code = self._client.loop_read()
            sock = self._client.socket()
            if code != paho.MQTT_ERR_SUCCESS or sock is None or not getattr(sock, "pending", int)():
                return code
        return paho.MQTT_ERR_SUCCESS

    def _step(self, step: Callable[[], MQTTErrorCode]) -> MQTTErrorCode:
        return step() if self._client.socket() is not None else paho.MQTT_ERR_CONN_LOST

    def _watch(self, sock: Any) -> None:
        """Update the selector with what paho needs of its socket now."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._client.want_write() else 0)
        wanted = (sock.fileno(), mask)
        if wanted == self._watched:
            return
        if self._watched is None:
            self._selector.register(sock, mask)
        else:
            self._selector.modify(sock, mask)
        self._watched = wanted

    def _lost(
        self, reason: str, *, closed_by_broker: bool = True, explained: bool = False, taken_over: bool = False
    ) -> None:
        if self._end is None:
            text = f"broker {self._broker.name}: {reason}"
            self._end = ConnectionLost(
                text, closed_by_broker=closed_by_broker, explained=explained, taken_over=taken_over
            )

    # Callbacks: they record events and cannot raise

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self._end = self._rejected(reason)
            return
        self._events.append(
            Connected(
                session_present=bool(flags.session_present),
                receive_maximum=getattr(properties, "ReceiveMaximum", DEFAULT_RECEIVE_MAXIMUM),
                maximum_packet_bytes=getattr(properties, "MaximumPacketSize", None),
                retain_available=bool(getattr(properties, "RetainAvailable", 1)),
                maximum_qos=getattr(properties, "MaximumQoS", 2),
            )
        )

    def _rejected(self, reason: Any) -> ConnectionLost | UnsupportedVersion | WillRejected:
        text = f"broker {self._broker.name} rejects the connection: {reason}"
        if reason.value in _UNSUPPORTED_VERSION:
            return UnsupportedVersion(text)
        if reason.value in (RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED):
            return WillRejected(text, reason.value)
        if reason.value in _LOGIN_REJECTED and self._broker.username is None:
            text += "; it wants a login: set username and password_file"
        elif reason.value in _LOGIN_REJECTED:
            text += f"; check the user name {self._broker.username!a} and the password in password_file"
        return ConnectionLost(text, explained=True)

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        explained = flags.is_disconnect_packet_from_server
        text = f"the broker ended the connection: {reason}" if explained else self._last_error or reason_text(reason)
        self._lost(
            text,
            closed_by_broker=reason.value != KEEP_ALIVE_TIMEOUT,
            explained=explained,
            taken_over=explained and reason.value == _SESSION_TAKEN_OVER,
        )

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        # Text only for failures: paho looks it up again for every PUBACK.
        self._events.append(Acknowledged(mid, reason.value, str(reason) if reason.is_failure else "success"))

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        topic_filter = self._filters.pop(mid, "?")
        for reason in reasons:
            self._events.append(Subscribed(topic_filter, reason.value, str(reason)))

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        properties = message.properties
        self._events.append(
            Received(
                topic=topic_of(message),
                payload=bytes(message.payload),
                qos=message.qos,
                retained=bool(message.retain),
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation_data=getattr(properties, "CorrelationData", None),
                expiry_seconds=getattr(properties, "MessageExpiryInterval", None),
            )
        )

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        """Read a pending TLS alert: with TLS 1.3, what is wrong with a certificate arrives after the handshake.

        A write that fails because of it only reports a closed connection.
        """
        try:
            sock.recv(1)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        except ssl.SSLError as error:
            self._last_error = explain(error)
        except OSError:
            pass

    def _record_error(self, text: str) -> None:
        self._last_error = text


def _drain(wake: socket.socket | None) -> None:
    if wake is not None:
        with suppress(BlockingIOError):
            while wake.recv(4096):
                pass
