"""One connection to the broker, from CONNECT to its end, driven by the caller's thread: `turn` by `turn`.

It queues what is published, and nothing else: no message is sent twice, and nothing outlives it. What has to is the
outbox's business.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from enum import IntEnum

from agent.broker import Broker, explain
from agent.errors import Temporary
from agent.mqtt import incoming, outgoing
from agent.mqtt.fields import Malformed
from agent.mqtt.incoming import Inbox, Kind
from agent.mqtt.link import Link
from agent.mqtt.reasons import REFUSED, UNSUPPORTED_VERSION, reason_text
from agent.packets import Event, Outgoing, Subscribed

CONNECT_TIMEOUT_SECONDS = 5.0


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
        self._five = protocol is Protocol.MQTT_5
        self._client_id = client_id
        self._will = will
        self._wake = wake
        self._session_expiry_seconds = session_expiry_seconds
        self._clean_start = clean_start
        self._keepalive_seconds = float(broker.keepalive_seconds)
        self._link: Link | None = None
        self._inbox = Inbox()
        self._events: deque[Event] = deque()
        self._end: ConnectionLost | UnsupportedVersion | None = None
        self._entered = False
        self._pinged_at: float | None = None
        self._last_packet_id = 0
        # Of what the broker has not answered: no other packet may have the same id.
        self._unanswered: set[int] = set()
        self._filters: dict[int, str] = {}
        self._selector = selectors.DefaultSelector()
        self._watched = 0

    def open(self) -> None:
        """TCP, TLS and CONNECT; whether the broker lets us in is told by `turn`."""
        broker = self._broker
        connect = outgoing.connect(self._entry(), self._will, five=self._five)
        context = broker.tls_context()
        try:
            self._link = Link.open(broker.host, broker.port, context, timeout_seconds=CONNECT_TIMEOUT_SECONDS)
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"broker {broker.name}: {explain(error)}") from error
        self._link.send(connect)
        if self._wake is not None:
            self._selector.register(self._wake, selectors.EVENT_READ)

    def turn(self, timeout_seconds: float) -> list[Event]:
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
        """Queues a message for the next `turn`; returns the id that its `Acknowledged` will carry, 0 for QoS 0."""
        packet_id = self._next_packet_id() if message.qos else 0
        try:
            head = outgoing.publish_head(message, packet_id, five=self._five)
        except ValueError as error:
            self._unanswered.discard(packet_id)
            raise ConnectionLost(f"broker {self._broker.name}: cannot send: {error}") from error
        self._open_link().send(head, message.payload)
        return packet_id

    def subscribe(self, topic_filter: str, qos: int = 1) -> None:
        """Its `Subscribed` will say whether the broker agrees."""
        packet_id = self._next_packet_id()
        self._open_link().send(outgoing.subscribe(topic_filter, qos, packet_id, five=self._five))
        self._filters[packet_id] = topic_filter

    def disconnect(self) -> None:
        """Says goodbye with the next `turn`: the broker then keeps the last will to itself, and ends the connection."""
        if self._link is not None and self._end is None:
            self._link.send(outgoing.DISCONNECT)

    def close(self) -> None:
        """Lets go of the socket without a word."""
        self._selector.close()
        if self._link is not None:
            self._link.close()
        self._lost("the connection is closed")

    def _entry(self) -> outgoing.Entry:
        broker = self._broker
        return outgoing.Entry(
            client_id=self._client_id,
            keepalive_seconds=broker.keepalive_seconds,
            clean_start=self._clean_start,
            session_expiry_seconds=self._session_expiry_seconds,
            will_delay_seconds=broker.will_delay_seconds,
            username=broker.username,
            password=broker.password(),
        )

    def _open_link(self) -> Link:
        if self._end is not None:
            raise self._end
        if self._link is None:
            raise ConnectionLost(f"broker {self._broker.name}: not connected")
        return self._link

    def _next_packet_id(self) -> int:
        """1 to 65,535, round and round, without those that are in use (MQTT 5, 2.2.1)."""
        while True:
            self._last_packet_id = self._last_packet_id % 0xFFFF + 1
            if self._last_packet_id not in self._unanswered:
                self._unanswered.add(self._last_packet_id)
                return self._last_packet_id

    # Running it

    def _exchange(self, timeout_seconds: float) -> None:
        link = self._open_link()
        try:
            self._flush(link)
            self._wait(link, timeout_seconds)
            self._receive(link)
            self._flush(link)
        except OSError as error:
            self._lost(explain(error), closed_by_broker=True)
        except Malformed as error:
            self._lost(f"the broker sends what is no MQTT: {error}", closed_by_broker=True)
        self._keep_alive(link)

    def _flush(self, link: Link) -> None:
        """A broker that ends the connection may have said why: that is read first."""
        try:
            link.flush()
        except OSError:
            self._receive(link)
            raise

    def _wait(self, link: Link, timeout_seconds: float) -> None:
        self._watch(link)
        for key, _ in self._selector.select(0.0 if link.has_decrypted or self._end else timeout_seconds):
            if key.fileobj is self._wake:
                _drain(self._wake)

    def _watch(self, link: Link) -> None:
        """The selector tells of room to send only while something is to be sent."""
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.has_unsent else 0)
        if self._watched == 0:
            self._selector.register(link, mask)
        elif self._watched != mask:
            self._selector.modify(link, mask)
        self._watched = mask

    def _receive(self, link: Link) -> None:
        data = link.receive()
        if data is None:
            self._lost("the other side closed the connection", closed_by_broker=True)
        elif data:
            self._pinged_at = None
            self._inbox.put(data)
            for first, body in self._inbox.packets():
                self._take(first, body)

    def _keep_alive(self, link: Link) -> None:
        """Asks for a sign of life where there was none for the keep-alive time, and gives up after another."""
        now, patience = time.monotonic(), self._keepalive_seconds
        if now - min(link.sent_at, link.received_at) < patience or patience == 0:
            return
        if self._pinged_at is None and self._entered:
            link.send(outgoing.PING)
            self._pinged_at = now
        elif now - (self._pinged_at or link.received_at) >= patience:
            self._lost(f"no sign of life for {now - link.received_at:.0f} s")

    def _lost(self, why: str, *, closed_by_broker: bool = False, explained: bool = False) -> None:
        if self._end is None:
            text = f"broker {self._broker.name}: {why}"
            self._end = ConnectionLost(text, closed_by_broker=closed_by_broker, explained=explained)

    # What the broker sends

    def _take(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if not self._entered and kind not in (Kind.CONNACK, Kind.DISCONNECT):
            raise Malformed(f"a packet of kind {kind} before CONNACK")
        if kind == Kind.PUBACK:
            acknowledged = incoming.read_puback(body)
            self._unanswered.discard(acknowledged.mid)
            self._events.append(acknowledged)
        elif kind == Kind.PUBLISH:
            self._take_message(first & 0x0F, body)
        elif kind == Kind.CONNACK:
            self._take_answer(incoming.read_connack(body))
        elif kind == Kind.SUBACK:
            self._take_suback(body)
        elif kind == Kind.DISCONNECT:
            why = f"the broker ended the connection: {reason_text(incoming.read_disconnect(body))}"
            self._lost(why, closed_by_broker=True, explained=True)
        elif kind != Kind.PINGRESP:
            raise Malformed(f"a packet of kind {kind}, which nothing here asks for")

    def _take_answer(self, answer: incoming.Answer) -> None:
        if answer.code:
            text = f"broker {self._broker.name} refuses the connection: {reason_text(answer.code)}"
            unsupported = answer.code == UNSUPPORTED_VERSION
            self._end = UnsupportedVersion(text) if unsupported else ConnectionLost(text, explained=True)
            return
        self._entered = True
        if answer.keepalive_seconds is not None:
            self._keepalive_seconds = float(answer.keepalive_seconds)
        self._events.append(answer.connected)

    def _take_message(self, flags: int, body: bytes) -> None:
        message, packet_id = incoming.read_publish(flags, body, five=self._five)
        if message.qos > 1:
            raise Malformed("a message at QoS 2, which nobody here subscribed to")
        if message.qos == 1:
            self._open_link().send(outgoing.acknowledge(packet_id))
        self._events.append(message)

    def _take_suback(self, body: bytes) -> None:
        packet_id, codes = incoming.read_suback(body, five=self._five)
        self._unanswered.discard(packet_id)
        topic_filter = self._filters.pop(packet_id, "?")
        for code in codes:
            granted = f"Granted QoS {code}"
            self._events.append(Subscribed(topic_filter, code, reason_text(code) if code >= REFUSED else granted))


def _drain(wake: socket.socket | None) -> None:
    if wake is not None:
        try:
            while wake.recv(4096):
                pass
        except BlockingIOError:
            pass
