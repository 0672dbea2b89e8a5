"""What paho reports about a connection, recorded as events. Its callbacks must not raise: paho's client would end."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any

import paho.mqtt.client as paho

from agent.mqtt.broker import Broker, explain
from agent.mqtt.errors import ConnectionLost, UnsupportedVersion
from agent.mqtt.last_will import QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED, WillRejected
from agent.mqtt.packets import Acknowledged, Connected, ConnectionEvent, Received, Subscribed
from agent.mqtt.paho_client import reason_text, topic_of

# The default of MQTT 5, 3.2.2.3.3, for a broker that sends no Receive Maximum.
DEFAULT_RECEIVE_MAXIMUM = 65_535

# Reason code of a connection that our side gave up because a ping was not answered.
KEEP_ALIVE_TIMEOUT = 0x8D

# CONNACK of a broker that does not support the protocol version: MQTT 5 (0x84) and MQTT 3.1.1 (1).
_UNSUPPORTED_VERSION = {0x84, 1}

# CONNACK of a broker that rejects the login: user name or password, not authorized (MQTT 5; paho translates 3.1.1).
_LOGIN_REJECTED = {0x86, 0x87}

# DISCONNECT: another client has connected with the same client id (MQTT 5, 3.14.2.1).
_SESSION_TAKEN_OVER = 0x8E


class Events:
    """The events of one connection that were not returned yet, and its end. For one thread."""

    def __init__(self, broker: Broker) -> None:
        """`broker` is named in errors."""
        self.waiting: deque[ConnectionEvent] = deque()
        """Oldest first."""
        self.end: ConnectionLost | UnsupportedVersion | WillRejected | None = None
        """Why the connection has ended; None while it lasts."""
        self.last_error = ""
        """The latest error that paho logged."""
        self._broker = broker
        self._filters: dict[int, str] = {}

    def record(self, client: paho.Client) -> None:
        """Record what this client reports from now on, except for PUBLISH and errors (`new_client`)."""
        client.on_socket_close = self._on_socket_close
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe

    def record_error(self, text: str) -> None:
        """An error that paho logs often explains the end that follows."""
        self.last_error = text

    def expect_answer(self, mid: int, topic_filter: str) -> None:
        """A subscription was sent under this packet id."""
        self._filters[mid] = topic_filter

    def take(self) -> list[ConnectionEvent]:
        """Return the events so far, and forget them."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken

    def lost(
        self, reason: str, *, closed_by_broker: bool = True, explained: bool = False, taken_over: bool = False
    ) -> None:
        """The connection has ended; the first reason counts."""
        if self.end is None:
            text = f"broker {self._broker.name}: {reason}"
            self.end = ConnectionLost(
                text, closed_by_broker=closed_by_broker, explained=explained, taken_over=taken_over
            )

    # paho's callbacks

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if reason.is_failure:
            self.end = self._rejected(reason)
            return
        self.waiting.append(
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
        text = f"the broker ended the connection: {reason}" if explained else self.last_error or reason_text(reason)
        self.lost(
            text,
            closed_by_broker=reason.value != KEEP_ALIVE_TIMEOUT,
            explained=explained,
            taken_over=explained and reason.value == _SESSION_TAKEN_OVER,
        )

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        # Text only for failures: paho looks it up again for every PUBACK.
        self.waiting.append(Acknowledged(mid, reason.value, str(reason) if reason.is_failure else "success"))

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Sequence[Any], properties: Any) -> None:
        topic_filter = self._filters.pop(mid, "?")
        for reason in reasons:
            self.waiting.append(Subscribed(topic_filter, reason.value, str(reason)))

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        properties = message.properties
        self.waiting.append(
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
            self.last_error = explain(error)
        except OSError:
            pass
