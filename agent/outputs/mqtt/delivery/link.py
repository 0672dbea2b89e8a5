"""One connection of the publisher, from CONNECT to its end: what happens in each turn of its thread."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone

from agent.core.errors import Temporary
from agent.messages import Presence
from agent.mqtt import (
    Acknowledged,
    Connected,
    Connection,
    ConnectionEvent,
    ConnectionLost,
    Outgoing,
    Protocol,
    Received,
    Subscribed,
)
from agent.outputs.mqtt.delivery.session import Session
from agent.outputs.mqtt.delivery.shared import Shared

log = logging.getLogger(__name__)

# The broker does not send larger packets. A command has a kilobyte; one far too large gets an error as its response.
MAX_INCOMING_BYTES = 16 * 1024**2

# A turn while stopping: short, to keep the deadline.
STOPPING_TURN_SECONDS = 0.05

# Kept of the time to stop for DISCONNECT.
DISCONNECT_SECONDS = 0.1


class StopRequest:
    """Asks the publisher's thread to stop, with a deadline."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self.deadline = 0.0
        """Monotonic seconds."""

    def set(self, deadline: float) -> None:
        self.deadline = deadline
        self._requested.set()

    def clear(self) -> None:
        self._requested.clear()

    def is_set(self) -> bool:
        return self._requested.is_set()

    def wait(self, timeout_seconds: float) -> None:
        """Return after `timeout_seconds`, or as soon as it is set."""
        self._requested.wait(timeout_seconds)


class Wake:
    """Ends the wait for the network early. Any thread may set it; `Connection` reads it."""

    def __init__(self) -> None:
        self.readable, self._writable = socket.socketpair()
        self.readable.setblocking(False)
        self._writable.setblocking(False)

    def set(self) -> None:
        with suppress(OSError):  # the buffer is full: it is set already
            self._writable.send(b"\0")


class Link:
    """Connects, delivers until the connection ends or a stop is requested. For one thread, and used once."""

    def __init__(
        self, shared: Shared, wake: socket.socket, stop: StopRequest, *, on_connected: Callable[[Connected], None]
    ) -> None:
        """`wake`: becomes readable when there is something to send. `on_connected` is called after CONNACK."""
        self._shared = shared
        self._wake = wake
        self._stop = stop
        self._on_connected = on_connected
        self._started_at = datetime.now(timezone.utc)
        self._files = shared.broker.files_changed_at()
        self._files_checked_at = self._status_checked_at = self._connected_at = 0.0
        self._session: Session | None = None
        self.connected = False
        """The broker accepted the connection, and it has not ended as far as is known."""
        self.stop_published = False
        """The broker acknowledged the status `stopped`."""

    @property
    def was_accepted(self) -> bool:
        """The broker accepted the connection, which may have ended since."""
        return self._session is not None

    @property
    def was_useful(self) -> bool:
        """It lasted, or delivered something."""
        return self.lasted or (self._session is not None and self._session.rows_delivered > 0)

    @property
    def seconds(self) -> float:
        """How long ago the broker accepted it."""
        return self._shared.clock() - self._connected_at

    @property
    def lasted(self) -> bool:
        """It was accepted, and did not end at once."""
        return self.was_accepted and self.seconds >= self._shared.timing.lasting_seconds

    def run(self) -> None:
        """Returns after a requested stop. Raises `Temporary`: `ConnectionLost`, `UnsupportedVersion` and others."""
        connection = self._new_connection()
        try:
            connection.open()
            connected = self._await_connack(connection)
            self._session = session = Session(connection, connected, self._shared)
            self._begin(connection, connected)
            while not self._stop.is_set():
                self._turn(connection, session)
                self._check_files()
            self._end(connection, session)
        except ConnectionLost as lost:
            if self._session is not None and lost.closed_by_broker:
                self._shared.suspicions.connection_lost(self._session.images_in_flight)
            raise
        finally:
            self.connected = False
            connection.close()
            if self._session is not None:
                self._session.delete_acknowledged(all_of_them=True)

    # Connecting

    def _new_connection(self) -> Connection:
        shared = self._shared
        document, terms = shared.status.last_will(self._started_at), shared.will
        will = Outgoing(
            shared.topics.status(), document, qos=terms.qos, retain=terms.retain, media_type="application/json"
        )
        return Connection(
            shared.broker,
            client_id=shared.topics.client_id,
            protocol=shared.protocol.version,
            will=will,
            wake=self._wake,
            # The session has to last as long as the will is delayed; a new connection that did not continue the session
            # would cause the will to be published (MQTT 5, 3.1.3.2.2 and 3.1.4).
            session_expiry_seconds=shared.broker.will_delay_seconds,
            clean_start=shared.protocol.version is not Protocol.MQTT_5,
            max_incoming_bytes=MAX_INCOMING_BYTES,
        )

    def _await_connack(self, connection: Connection) -> Connected:
        timing = self._shared.timing
        end = self._shared.clock() + timing.connack_timeout_seconds
        try:
            while self._shared.clock() < end and not self._stop.is_set():
                for event in connection.turn(timing.turn_seconds):
                    if isinstance(event, Connected):
                        return event
        except ConnectionLost as lost:
            if lost.closed_by_broker and not lost.explained:
                self._shared.protocol.rejected_silently()
            raise
        raise ConnectionLost(f"broker {self._shared.broker.name}: no answer to CONNECT")

    def _begin(self, connection: Connection, connected: Connected) -> None:
        version = self._shared.protocol.version.name.replace("_", " ", 1).replace("_", ".")
        log.info("broker %s: connected (%s)", self._shared.broker.name, version)
        self._on_connected(connected)
        self._report_limits(connected)
        self._connected_at = self._files_checked_at = self._shared.clock()
        self._status_checked_at = self._connected_at - self._shared.timing.status_check_seconds
        wanted = self._shared.subscriptions.all_filters()
        if connected.session_present:
            # An earlier run of the agent, with other settings, may have subscribed in this session.
            for topic_filter in {*self._shared.topics.command_filters()} - {*wanted}:
                connection.unsubscribe(topic_filter)
        for topic_filter in wanted:
            connection.subscribe(topic_filter)
        self.connected = True

    def _report_limits(self, connected: Connected) -> None:
        """Report what the broker does not offer; delivery does without it."""
        missing = []
        if not connected.retain_available:
            missing.append("keeps no retained messages: a later subscriber does not see status and states")
        if connected.maximum_qos < 1:
            missing.append("offers QoS 0 only: an alarm counts as delivered once it is sent, and may be lost")
        text = f"broker {self._shared.broker.name} {', and '.join(missing)}" if missing else None
        problems = self._shared.status.problems
        if text is not None and text not in problems.all():
            log.warning("%s", text)
        problems.set("broker", text)

    # Delivering

    def _turn(self, connection: Connection, session: Session) -> None:
        self._check_status(session)
        self._take_new(connection, session)
        session.pump()
        self._handle(connection.turn(self._shared.timing.turn_seconds), session)
        session.delete_acknowledged()
        if session.is_overdue():
            raise ConnectionLost(f"broker {self._shared.broker.name}: PUBACK timeout, closing the connection")

    def _check_status(self, session: Session) -> None:
        shared = self._shared
        now = shared.clock()
        if now - self._status_checked_at < shared.timing.status_check_seconds:
            return
        self._status_checked_at = now
        shared.takeovers.connected_for(self.seconds)
        problems = shared.status.problems
        problems.set("delivery", session.problem)
        try:
            document = shared.status.update(self._started_at)
        except Temporary as error:
            problems.set("outbox", str(error))
            return
        problems.set("outbox", None)
        if document is not None:
            shared.retained.put(shared.topics.status(), document)

    def _take_new(self, connection: Connection, session: Session) -> None:
        """Take what other threads want to be subscribed or sent."""
        for topic_filter in self._shared.subscriptions.dropped_filters():
            connection.unsubscribe(topic_filter)
        for topic_filter in self._shared.subscriptions.new_filters():
            connection.subscribe(topic_filter)
        for message in self._shared.responses.take():
            session.respond(message)
        for topic, payload in self._shared.telemetry.take_due(self._shared.clock()).items():
            session.send_telemetry(Outgoing(topic, payload, qos=0, media_type="application/json"))

    def _handle(self, events: list[ConnectionEvent], session: Session) -> None:
        for event in events:
            if isinstance(event, Acknowledged):
                session.acknowledged(event)
            elif isinstance(event, Received):
                if not self._shared.subscriptions.handle(event.to_command(self._shared.clock())):
                    self._end_subscription(event.topic)
            elif isinstance(event, Subscribed):
                self._subscribed(event)

    def _end_subscription(self, topic: str) -> None:
        """A command that nobody takes: an earlier run, which allowed others, subscribed to it in this session."""
        command = self._shared.topics.read_command(topic)
        for topic_filter in () if command is None else self._shared.topics.command_filters([command.name]):
            self._shared.subscriptions.remove(topic_filter)

    def _subscribed(self, event: Subscribed) -> None:
        text = None
        if event.code >= 0x80:
            text = f"the broker rejects the subscription to {event.topic_filter}: {event.reason}"
            log.warning("%s", text)
        self._shared.status.problems.set(f"subscription to {event.topic_filter}", text)

    def _check_files(self) -> None:
        """Connect anew if certificates or password have changed, so that no restart is needed."""
        now = self._shared.clock()
        if now - self._files_checked_at < self._shared.timing.files_check_seconds:
            return
        self._files_checked_at = now
        if self._shared.broker.files_changed_at() != self._files:
            raise ConnectionLost("certificates or password changed: connecting anew")

    # Stopping

    def _end(self, connection: Connection, session: Session) -> None:
        """Deliver alarms, for half of the time; then publish `stopped`, and disconnect, which withdraws the will."""
        shared, deadline = self._shared, self._stop.deadline
        half = shared.clock() + (deadline - shared.clock()) / 2
        published = False
        while shared.clock() < deadline - DISCONNECT_SECONDS:
            if not published and (shared.outbox.alarms_waiting(shared.output) == 0 or shared.clock() > half):
                document = shared.status.document(Presence.STOPPED, self._started_at)
                shared.retained.put(shared.topics.status(), document.to_bytes())
                published = True
            self._take_new(connection, session)
            session.pump(images=False, results=not published)
            if published and session.is_idle:
                break
            self._handle(connection.turn(STOPPING_TURN_SECONDS), session)
            session.delete_acknowledged(all_of_them=True)
        self.stop_published = published and session.is_idle
        connection.disconnect()
        with suppress(ConnectionLost):
            connection.turn(STOPPING_TURN_SECONDS)
