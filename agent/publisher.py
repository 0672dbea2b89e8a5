"""The only one who talks to the broker: keeps a connection up, feeds it, and never needs it to be there.

One thread does all of it. It survives every error of its own, and is started again should it die all the same.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np

from agent.backoff import Backoff
from agent.broker import Broker
from agent.connection import (
    Acknowledged,
    Connected,
    Connection,
    ConnectionLost,
    Outgoing,
    Protocol,
    Received,
    Subscribed,
    UnsupportedVersion,
)
from agent.delivery import BACKLOG_PICTURES_PER_SECOND, Board, Delivery, Suspicions
from agent.errors import InspectdError, Permanent, Temporary
from agent.outbox import Outbox, Row
from agent.payloads import (
    LatencyPayload,
    OutboxPayload,
    Presence,
    ScorePayload,
    StatePayload,
    StatusPayload,
)
from agent.topics import Topics

log = logging.getLogger(__name__)

CONNACK_TIMEOUT_SECONDS = 10.0
RECONNECT_FIRST_SECONDS = 0.5
RECONNECT_MAX_SECONDS = 30.0

# How long a turn waits for the network when nothing happens; everything urgent wakes it.
TURN_SECONDS = 0.25
STATUS_CHECK_SECONDS = 1.0
STATUS_REFRESH_SECONDS = 30.0
FILES_CHECK_SECONDS = 30.0

# Rolling record of capture-to-PUBACK latencies.
KEPT_LATENCIES = 10_000


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A message on a topic that somebody subscribed to with `Publisher.subscribe`."""

    topic: str
    payload: bytes
    retained: bool
    """The broker kept it from an earlier time: no command should be retained."""
    response_topic: str | None
    """Where the sender wants the answer (MQTT 5)."""
    correlation_data: bytes | None
    """What the answer has to carry (MQTT 5)."""
    expiry_seconds: int | None
    """What is left of its life; the broker drops what has none left. None: the sender set none."""
    received_monotonic: float
    """Seconds, of the publisher's clock."""


class Publisher:
    """Publishes what the outbox, the board of retained documents and telemetry have. Methods may be called by any thread."""

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        outbox: Outbox,
        *,
        version: str = "0",
        client_id: str | None = None,
        scores_per_second: float = 1.0,
        delivered: Callable[[Row, float], None] | None = None,
        backlog_pictures_per_second: float = BACKLOG_PICTURES_PER_SECOND,
        protocol: Protocol = Protocol.MQTT_5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        client_id: None: `inspectd-<site>`; two agents of one site would throw each other out, and are told so.
        scores_per_second: scores published per camera; 0 for none.
        delivered: called on the publisher's thread with a row and the monotonic time of its PUBACK, seconds.
        protocol: the version to begin with; falls back to 3.1.1 where the broker does not know 5.
        """
        self._broker = broker
        self._topics = topics
        self._outbox = outbox
        self._version = version
        self._client_id = client_id or f"inspectd-{topics.site}"
        self._score_interval_seconds = 1.0 / scores_per_second if scores_per_second > 0 else None
        self._delivered_hook = delivered
        self._backlog_pictures_per_second = backlog_pictures_per_second
        self._protocol = protocol
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._stop_deadline = 0.0
        self._board = Board()
        self._suspicions = Suspicions()
        self._backoff = Backoff(RECONNECT_FIRST_SECONDS, RECONNECT_MAX_SECONDS)
        self._handlers: dict[str, Callable[[CommandMessage], None]] = {}
        self._new_filters: deque[str] = deque()
        self._answers: deque[Outgoing] = deque(maxlen=100)
        self._scores: dict[str, bytes] = {}
        self._scores_sent: dict[str, float] = {}
        self._problems: dict[str, str] = {}
        self._latencies_ms: deque[float] = deque(maxlen=KEPT_LATENCIES)
        self._last_turn = clock()
        self._was_down = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        outbox.on_accepted = self.wake

    # For others

    @property
    def connected(self) -> bool:
        """The broker let us in, and the connection stands as far as is known."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begins to connect and to deliver; returns at once, broker or not."""
        self._stopping.clear()
        self._ensure_thread()

    def stop(self, deadline_seconds: float = 1.5) -> bool:
        """Sends the alarms that wait as far as the time goes, says `stopped`, disconnects; True where the broker heard it.

        What was not delivered stays in the outbox. Returns after `deadline_seconds` at the latest.
        """
        self._stop_deadline = self._clock() + deadline_seconds
        self._stopping.set()
        self.wake(restart=False)
        thread = self._thread
        if thread is None:
            return False
        thread.join(deadline_seconds)
        return not thread.is_alive() and self._said_goodbye

    def wake(self, *, restart: bool = True) -> None:
        """There is something new to send. Also notices a dead thread, and starts another."""
        with suppress(BlockingIOError, OSError):
            self._wake_out.send(b"\0")
        if restart and not self._stopping.is_set() and self._thread is not None and not self._thread.is_alive():
            log.error("the publisher's thread died; starting another")
            self._ensure_thread()

    def seconds_since_turn(self) -> float:
        """Age of the thread's last sign of life: for a watchdog."""
        return self._clock() - self._last_turn

    def set_state(self, state: StatePayload) -> None:
        """Publishes the state of a camera, retained; only the latest one counts."""
        self._board.put(self._topics.state(state.camera), state.to_bytes())
        self.wake()

    def score(self, score: ScorePayload) -> None:
        """Publishes a score: QoS 0, the latest of each camera at the set rate, dropped while there is no broker."""
        if self._score_interval_seconds is not None and self.connected:
            with self._lock:
                self._scores[self._topics.score(score.camera)] = score.to_bytes()

    def problem(self, what: str, text: str | None) -> None:
        """Something is wrong with the agent (or no more: None); `what` identifies it. Published in `status`."""
        with self._lock:
            if text is None:
                self._problems.pop(what, None)
            else:
                self._problems[what] = text

    def subscribe(self, topic_filter: str, handler: Callable[[CommandMessage], None]) -> None:
        """Hands messages to `handler`, on the publisher's thread: it has to return at once. Errors in it are logged."""
        with self._lock:
            self._handlers[topic_filter] = handler
            self._new_filters.append(topic_filter)
        self.wake()

    def respond(self, request: CommandMessage, payload: bytes, *, fallback_topic: str) -> None:
        """Answers a command: to its response topic with its correlation data, else to `fallback_topic`."""
        topic = request.response_topic
        if topic is not None and not self._may_answer_on(topic):
            log.warning("answer to %s: response topic %s refused", request.topic, ascii(topic)[:120])
            topic = None
        correlation = request.correlation_data if topic is not None else None
        message = Outgoing(topic or fallback_topic, payload, media_type="application/json", correlation_data=correlation)
        with self._lock:
            self._answers.append(message)
        self.wake()

    def latencies_ms(self) -> list[float]:
        """Capture to PUBACK of the latest alarms delivered, 10,000 at most, milliseconds."""
        with self._lock:
            return list(self._latencies_ms)

    def latency(self) -> LatencyPayload | None:
        """Percentiles of `latencies_ms`; None before the first."""
        values = self.latencies_ms()
        if not values:
            return None
        p50, p95, p99 = (round(float(value), 3) for value in np.percentile(values, [50, 95, 99]))
        return LatencyPayload(p50=p50, p95=p95, p99=p99)

    def wait_until_delivered(self, timeout_seconds: float) -> bool:
        """True once nothing waits in the outbox any more, False after the timeout."""
        end = self._clock() + timeout_seconds
        while self._outbox.waiting() > 0:
            if self._clock() >= end:
                return False
            time.sleep(0.02)
        return True

    # The thread

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._said_goodbye = False
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()

    _said_goodbye = False

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._serve_one_connection()
            except UnsupportedVersion as error:
                self._fall_back(error)
            except InspectdError as error:
                self._report_down(str(error))
            except Exception:
                log.exception("publisher: unexpected error, connecting again")
            if not self._stopping.is_set():
                self._stopping.wait(self._backoff.next_seconds())

    def _fall_back(self, error: UnsupportedVersion) -> None:
        if self._protocol is Protocol.MQTT_5:
            log.warning("broker %s does not speak MQTT 5: going on with MQTT 3.1.1", self._broker.name)
            self._protocol = Protocol.MQTT_3_1_1
            self._backoff.reset()
        else:
            self._report_down(str(error))

    def _report_down(self, text: str) -> None:
        """First failure WARNING, repeats DEBUG."""
        log.log(logging.DEBUG if self._was_down else logging.WARNING, "%s; alarms wait in the outbox", text)
        self._was_down = True

    def _serve_one_connection(self) -> None:
        files = self._broker.files_changed_at()
        connected_at = datetime.now(timezone.utc)
        connection = self._new_connection(connected_at)
        delivery: Delivery | None = None
        try:
            connection.open()
            connected = self._await_connack(connection)
            delivery = self._new_delivery(connection, connected)
            self._greet(connection, connected_at)
            while not self._stopping.is_set():
                self._turn(connection, delivery, connected_at)
                self._check_files(files)
            self._say_goodbye(connection, delivery, connected_at)
        except ConnectionLost as lost:
            if delivery is not None and lost.closed_by_broker:
                self._suspicions.connection_lost(delivery.pictures_in_flight)
            raise
        finally:
            self._connected.clear()
            if delivery is not None:
                with suppress(InspectdError):
                    delivery.settle()
            connection.close()

    def _new_connection(self, connected_at: datetime) -> Connection:
        will = self._status(Presence.OFFLINE, connected_at)
        five = self._protocol is Protocol.MQTT_5
        return Connection(
            self._broker,
            client_id=self._client_id,
            protocol=self._protocol,
            will=Outgoing(self._topics.status(), will.to_bytes(), retain=True, media_type="application/json"),
            wake=self._wake_in,
            # The session has to live as long as the will is delayed (MQTT 5, 3.1.3.2.2), and a connection that does
            # not take it up again would let the will go.
            session_expiry_seconds=self._broker.will_delay_seconds,
            clean_start=not five,
        )

    def _await_connack(self, connection: Connection) -> Connected:
        end = self._clock() + CONNACK_TIMEOUT_SECONDS
        while self._clock() < end and not self._stopping.is_set():
            self._last_turn = self._clock()
            for event in connection.turn(TURN_SECONDS):
                if isinstance(event, Connected):
                    return event
        raise ConnectionLost(f"broker {self._broker.name}: no answer to CONNECT")

    def _new_delivery(self, connection: Connection, connected: Connected) -> Delivery:
        return Delivery(
            connection,
            connected,
            outbox=self._outbox,
            board=self._board,
            suspicions=self._suspicions,
            clock=self._clock,
            delivered=self._delivered,
            omitted_topic=lambda row: self._topics.picture(row.camera, row.alarm, "omitted"),
            backlog_pictures_per_second=self._backlog_pictures_per_second,
        )

    def _greet(self, connection: Connection, connected_at: datetime) -> None:
        log.log(logging.INFO, "broker %s: connected (MQTT %s)", self._broker.name, self._protocol.name[5:])
        self._was_down = False
        self._backoff.reset()
        with self._lock:
            self._new_filters.clear()
            filters = list(self._handlers)
        for topic_filter in filters:
            connection.subscribe(topic_filter)
        self._status_checked_at = self._status_written_at = 0.0
        self._files_checked_at = self._clock()
        self._connected.set()

    def _turn(self, connection: Connection, delivery: Delivery, connected_at: datetime) -> None:
        self._refresh_status(delivery, connected_at)
        self._take_new(connection, delivery)
        delivery.pump()
        events = connection.turn(TURN_SECONDS)
        self._last_turn = self._clock()
        self._handle(events, delivery)
        delivery.settle()
        if delivery.stalled():
            raise ConnectionLost(f"broker {self._broker.name}: no PUBACK for too long, the connection is taken for dead")

    def _take_new(self, connection: Connection, delivery: Delivery) -> None:
        """Moves what other threads left here to the connection."""
        with self._lock:
            filters, self._new_filters = self._new_filters, deque()
            answers, self._answers = self._answers, deque(maxlen=100)
            scores = self._due_scores()
        for topic_filter in filters:
            connection.subscribe(topic_filter)
        for message in answers:
            delivery.answer(message)
        for topic, payload in scores.items():
            delivery.telemetry(Outgoing(topic, payload, qos=0, media_type="application/json"))

    def _due_scores(self) -> Mapping[str, bytes]:
        now, interval = self._clock(), self._score_interval_seconds or 0.0
        due = [topic for topic in self._scores if now - self._scores_sent.get(topic, -interval) >= interval]
        self._scores_sent.update(dict.fromkeys(due, now))
        return {topic: self._scores.pop(topic) for topic in due}

    def _handle(self, events: list[Connected | Acknowledged | Received | Subscribed], delivery: Delivery) -> None:
        for event in events:
            if isinstance(event, Acknowledged):
                delivery.acknowledged(event)
            elif isinstance(event, Received):
                self._received(event)
            elif isinstance(event, Subscribed) and event.code >= 0x80:
                self.problem("commands", f"the broker refuses the subscription to {event.topic_filter}: {event.reason}")
                log.warning("the broker refuses the subscription to %s: %s", event.topic_filter, event.reason)

    def _received(self, event: Received) -> None:
        message = CommandMessage(
            topic=event.topic,
            payload=event.payload,
            retained=event.retained,
            response_topic=event.response_topic,
            correlation_data=event.correlation_data,
            expiry_seconds=event.expiry_seconds,
            received_monotonic=self._clock(),
        )
        with self._lock:
            handlers = [handler for pattern, handler in self._handlers.items() if _matches(pattern, event.topic)]
        for handler in handlers[:1]:
            try:
                handler(message)
            except Exception:
                log.exception("command on %s: unexpected error", ascii(event.topic)[:200])

    def _delivered(self, row: Row, now: float) -> None:
        if not row.picture and row.captured_monotonic is not None:
            with self._lock:
                self._latencies_ms.append(max(0.0, now - row.captured_monotonic) * 1000.0)
        if self._delivered_hook is not None:
            try:
                self._delivered_hook(row, now)
            except Exception:
                log.exception("delivered hook: unexpected error")

    def _check_files(self, files: tuple[float, ...]) -> None:
        """New certificates or a new password: connect anew with them, without a restart."""
        if self._clock() - self._files_checked_at < FILES_CHECK_SECONDS:
            return
        self._files_checked_at = self._clock()
        if self._broker.files_changed_at() != files:
            self._broker.tls_context()
            raise ConnectionLost("certificates or password changed: connecting anew")

    # Status

    def _status(self, presence: Presence, connected_at: datetime) -> StatusPayload:
        common = {"status": presence, "site": self._topics.site, "version": self._version, "connected_at": connected_at}
        if presence is Presence.OFFLINE:
            return StatusPayload(**common)  # type: ignore[arg-type]
        counts = self._outbox.counts()
        outbox = OutboxPayload(
            waiting=counts.waiting,
            waiting_bytes=counts.waiting_bytes,
            sequence=counts.sequence,
            dropped_pictures=counts.dropped_pictures,
            dropped_alarms=counts.dropped_alarms,
            dead_letters=counts.dead_letters,
            omitted_pictures=counts.omitted_pictures,
            missing=list(counts.missing),
        )
        with self._lock:
            problems = [*self._outbox.incidents(), *self._problems.values()]
        return StatusPayload(
            **common,  # type: ignore[arg-type]
            at=datetime.now(timezone.utc),
            outbox=outbox,
            delivery_ms=self.latency(),
            problems=problems,
        )

    def _refresh_status(self, delivery: Delivery, connected_at: datetime) -> None:
        """Publishes `online` on connect, when a loss or a problem is new, and every half minute where figures moved."""
        now = self._clock()
        if now - self._status_checked_at < STATUS_CHECK_SECONDS:
            return
        self._status_checked_at = now
        self.problem("delivery", delivery.problem)
        try:
            status = self._status(Presence.ONLINE, connected_at)
        except Temporary as error:
            self.problem("outbox", str(error))
            return
        outbox = status.outbox
        assert outbox is not None
        urgent = (connected_at, status.problems, outbox.dropped_pictures, outbox.dropped_alarms, outbox.dead_letters)
        if urgent != self._status_urgent or now - self._status_written_at >= STATUS_REFRESH_SECONDS:
            self._status_urgent, self._status_written_at = urgent, now
            self._board.put(self._topics.status(), status.to_bytes())

    _status_urgent: object = None
    _status_checked_at = _status_written_at = _files_checked_at = 0.0

    def _say_goodbye(self, connection: Connection, delivery: Delivery, connected_at: datetime) -> None:
        begin = self._clock()
        half = begin + (self._stop_deadline - begin) / 2
        said = False
        while self._clock() < self._stop_deadline - 0.1:
            if not said and (self._outbox.alarms_waiting() == 0 or self._clock() > half):
                self._board.put(self._topics.status(), self._status(Presence.STOPPED, connected_at).to_bytes())
                said = True
            delivery.pump(pictures=False)
            if said and delivery.idle:
                break
            self._handle(connection.turn(0.05), delivery)
            delivery.settle()
        self._said_goodbye = said and delivery.idle
        connection.disconnect()
        with suppress(ConnectionLost):
            connection.turn(0.05)

    def _may_answer_on(self, topic: str) -> bool:
        """Not where it is no topic, and not where our own documents are: a request must not write those through us."""
        if not topic or "+" in topic or "#" in topic or "\0" in topic or len(topic.encode()) > 1024:
            return False
        ours = topic.startswith(f"{self._topics.base}/")
        return not topic.startswith("$") and (not ours or "/response/" in topic)


def _matches(pattern: str, topic: str) -> bool:
    """Whether a topic matches a filter (MQTT 5, 4.7.1)."""
    parts = ["[^/]*" if level == "+" else re.escape(level) for level in pattern.split("/")]
    if parts[-1] == re.escape("#"):
        return re.fullmatch("/".join(parts[:-1]) + "(/.*)?", topic, re.DOTALL) is not None
    return re.fullmatch("/".join(parts), topic, re.DOTALL) is not None
