"""One connection to the broker, from CONNECT to its end.

paho-mqtt implements the protocol, but is used for one connection only. Its own queue would flood the broker past its
Receive Maximum after a reconnect, and an exception in a callback ends its network thread. So each connection is a new
paho client driven by the caller's thread; the callbacks only record events (`events.py`), which `turn` returns.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.subscribeoptions import SubscribeOptions

from agent.mqtt.broker import Broker, explain
from agent.mqtt.errors import ConnectionLost
from agent.mqtt.events import Events
from agent.mqtt.packets import ConnectionEvent, Outgoing
from agent.mqtt.paho_client import PackedProperties, Protocol, new_client, new_properties

# Packets read in one turn at most: reading a flood must not keep our own messages from being sent.
PACKETS_PER_TURN = 100


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
        self._options = _connect_options(protocol, clean_start, session_expiry_seconds, max_incoming_bytes)
        self._events = Events(broker)
        self._selector = selectors.DefaultSelector()
        self._watched: tuple[int, int] | None = None
        self._client = new_client(
            client_id,
            protocol,
            clean_start=clean_start,
            on_received=self._events.waiting.append,
            on_error=self._events.record_error,
        )
        self._events.record(self._client)
        self._set_will(will)

    def open(self) -> None:
        """Connect with TCP and TLS, and send CONNECT; `turn` returns the broker's answer."""
        self._authenticate()
        broker = self._broker
        try:
            self._client.connect(broker.host, broker.port, keepalive=broker.keepalive_seconds, **self._options)
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"broker {broker.name}: {explain(error)}") from error
        if self._wake is not None:
            self._selector.register(self._wake, selectors.EVENT_READ)

    def turn(self, timeout_seconds: float) -> list[ConnectionEvent]:
        """Send and receive what is possible, waiting at most `timeout_seconds`; returns the events so far.

        Raises `ConnectionLost` once all earlier events have been returned.
        """
        events = self._events
        if events.end is None:
            self._exchange(0.0 if events.waiting else timeout_seconds)
        if events.end is not None and not events.waiting:
            raise events.end
        return events.take()

    def publish(self, message: Outgoing) -> int:
        """Start to send a message; returns the id that its `Acknowledged` will have."""
        info = self._client.publish(
            message.topic, message.payload, message.qos, message.retain, properties=self._properties(message)
        )
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._events.end or ConnectionLost(
                f"broker {self._broker.name}: cannot send: {paho.error_string(info.rc)}"
            )
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
        self._events.expect_answer(mid, topic_filter)

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

    def _authenticate(self) -> None:
        context = self._broker.tls_context()
        if context is not None:
            self._client.tls_set_context(context)
        if self._broker.username is not None:
            self._client.username_pw_set(self._broker.username, self._broker.password())

    def _set_will(self, will: Outgoing | None) -> None:
        if will is None:
            return
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
            self._events.lost("the connection is closed")
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
                self._events.lost(self._events.last_error or paho.error_string(code))
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


def _connect_options(
    protocol: Protocol, clean_start: bool, session_expiry_seconds: int, max_incoming_bytes: int | None
) -> dict[str, Any]:
    """What CONNECT says besides address and credentials; MQTT 3.1.1 has nothing of it."""
    if protocol is not Protocol.MQTT_5:
        return {}
    properties = new_properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry_seconds
    if max_incoming_bytes is not None:
        properties.MaximumPacketSize = max_incoming_bytes
    return {"clean_start": clean_start, "properties": properties}


def _drain(wake: socket.socket | None) -> None:
    if wake is not None:
        with suppress(BlockingIOError):
            while wake.recv(4096):
                pass
