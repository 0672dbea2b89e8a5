"""The connection to the broker: a thread that takes what agents publish, and connects again after a loss."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from agent.core.backoff import Backoff
from agent.core.errors import Temporary
from agent.fleet.broker.documents import MAX_DOCUMENT_BYTES
from agent.fleet.broker.topic_tree import TopicTree
from agent.mqtt import Broker, Connected, Connection, Protocol, Received, Subscribed, UnsupportedVersion

log = logging.getLogger(__name__)

# While the page is not running, the broker keeps alarms for it this long.
SESSION_SECONDS = 24 * 3600

# Messages are read in batches: a thousand agents send 400 a second, and each waking costs as much as reading ten.
BATCH_SECONDS = 0.2
_FULL_BATCH = 100

# Room for the topic and the properties of a packet.
_PACKET_BYTES = MAX_DOCUMENT_BYTES + 4096

Take = Callable[[Received], None]


@dataclass(frozen=True, slots=True)
class Link:
    """The connection, for people."""

    connected: bool
    since: float
    """Of the connection or of its loss; Unix time, seconds."""
    since_monotonic: float
    problem: str | None = None


class Subscriber:
    """Subscribes to every agent of a tree. `take` is called on its thread, and must not block or raise."""

    def __init__(self, broker: Broker, tree: TopicTree, client_id: str, take: Take) -> None:
        self._broker = broker
        self._tree = tree
        self._client_id = client_id
        self._take = take
        self._stopping = threading.Event()
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self.link = Link(False, time.time(), time.monotonic())

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the thread, within two seconds."""
        self._stopping.set()
        self._waker.send(b"\0")
        self._thread.join(2.0)

    def _run(self) -> None:
        backoff, protocol = Backoff(0.5, 15.0), Protocol.MQTT_5
        while not self._stopping.is_set():
            connection = self._connection(protocol)
            try:
                connection.open()
                self._listen(connection, backoff)
            except UnsupportedVersion:
                protocol = Protocol.MQTT_3_1_1
                continue
            except Temporary as error:
                self._lost(str(error))
            finally:
                connection.close()
            self._stopping.wait(backoff.next_seconds())

    def _connection(self, protocol: Protocol) -> Connection:
        return Connection(
            self._broker,
            client_id=self._client_id,
            protocol=protocol,
            wake=self._wake,
            session_expiry_seconds=SESSION_SECONDS,
            clean_start=False,
            max_incoming_bytes=_PACKET_BYTES,
        )

    def _listen(self, connection: Connection, backoff: Backoff) -> None:
        while not self._stopping.is_set():
            events = connection.turn(1.0)
            for event in events:
                if isinstance(event, Received):
                    self._take(event)
                elif isinstance(event, Connected):
                    for topic_filter, qos in self._tree.filters():
                        connection.subscribe(topic_filter, qos)
                elif isinstance(event, Subscribed):
                    self._subscribed(event, backoff)
            if 0 < len(events) < _FULL_BATCH:
                self._stopping.wait(BATCH_SECONDS)
        connection.disconnect()
        with suppress(Temporary):
            connection.turn(0.05)

    def _subscribed(self, event: Subscribed, backoff: Backoff) -> None:
        """Raises Temporary where the broker does not let us see anything."""
        if event.code >= 0x80:
            raise Temporary(f"broker {self._broker.name} rejects the subscription to {event.topic_filter}")
        if not self.link.connected:
            log.info("connected to the broker %s", self._broker.name)
            self.link = Link(True, time.time(), time.monotonic())
            backoff.reset()

    def _lost(self, problem: str) -> None:
        """The first failure is a warning, repeats are not."""
        if self.link.connected or self.link.problem is None:
            log.warning("%s; trying again", problem)
            self.link = Link(False, time.time(), time.monotonic(), problem)
        else:
            log.debug("%s", problem)
            self.link = Link(False, self.link.since, self.link.since_monotonic, problem)
