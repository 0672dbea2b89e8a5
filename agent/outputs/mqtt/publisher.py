"""The only one who talks to the broker: keeps a connection up, feeds it, and never needs it to be there.

One thread does all of it. It survives every error of its own, and is started again should it die all the same.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import version

from agent.core.backoff import Backoff
from agent.core.durations import Durations
from agent.core.errors import InspectdError, Temporary
from agent.core.problems import Problems
from agent.messages import DeliveryPayload, Presence, StatePayload
from agent.outputs.mqtt.agent_status import AgentStatus
from agent.outputs.mqtt.broker import Broker
from agent.outputs.mqtt.connection import Connection, ConnectionLost, Protocol, UnsupportedVersion
from agent.outputs.mqtt.notices import Notices
from agent.outputs.mqtt.packets import Acknowledged, Connected, ConnectionEvent, Outgoing, Received, Subscribed
from agent.outputs.mqtt.protocol_version import ProtocolVersion
from agent.outputs.mqtt.retained import RetainedDocuments
from agent.outputs.mqtt.session import BACKLOG_IMAGES_PER_SECOND, Session
from agent.outputs.mqtt.subscriptions import CommandMessage, MessageHandler, Subscriptions, may_answer_on
from agent.outputs.mqtt.suspicions import Suspicions
from agent.outputs.mqtt.telemetry import Telemetry
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import DEFAULT_OUTPUT, Outbox, Row

log = logging.getLogger(__name__)

CONNACK_TIMEOUT_SECONDS = 10.0
RECONNECT_FIRST_SECONDS = 0.5
RECONNECT_MAX_SECONDS = 30.0

# How long a turn waits for the network when nothing happens; everything urgent wakes it.
TURN_SECONDS = 0.25
STATUS_CHECK_SECONDS = 1.0
FILES_CHECK_SECONDS = 10.0

# A connection that lasts this long was worth having: after it, failures are told of again, and waits begin anew.
LASTING_SECONDS = 5.0


class Publisher:
    """Publishes what the outbox, the retained documents and telemetry have. Any thread may call any method."""

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        outbox: Outbox,
        *,
        output: str = DEFAULT_OUTPUT,
        problems: Problems | None = None,
        delivery_durations: Durations | None = None,
        client_id: str | None = None,
        delivered: Callable[[Row, float], None] | None = None,
        backlog_images_per_second: float = BACKLOG_IMAGES_PER_SECOND,
        protocol: Protocol = Protocol.MQTT_5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        output: names the rows of the outbox that it delivers.
        problems: where it reports what is wrong, and reads what others reported; None for its own.
        delivery_durations: takes capture to PUBACK of each alarm; None for its own.
        client_id: None: that of the topic tree; two agents at one place throw each other out, and are told so.
        delivered: called on the publisher's thread with a row and the monotonic time of its PUBACK, seconds.
        backlog_images_per_second: limit for images that waited before the connection was made.
        protocol: the version to try first; 3.1.1 follows where the broker does not know 5.
        clock: monotonic seconds, the clock of `Frame.captured_monotonic`.
        """
        self._broker = broker
        self._topics = topics
        self._outbox = outbox
        self._output = output
        self._client_id = client_id or topics.client_id
        self._delivered_hook = delivered
        self._backlog_images_per_second = backlog_images_per_second
        self._protocol = ProtocolVersion(protocol)
        self._clock = clock
        self.reporter = AgentStatus(
            topics.site, version("inspectd"), outbox, clock, problems=problems, latency=delivery_durations
        )
        """Problems and latencies of this agent, as `status` tells them."""
        self._subscriptions = Subscriptions()
        self._board = RetainedDocuments()
        self._notices = Notices()
        self._suspicions = Suspicions()
        self._backoff = Backoff(RECONNECT_FIRST_SECONDS, RECONNECT_MAX_SECONDS)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._connected = threading.Event()
        self._stop_deadline = 0.0
        self._said_goodbye = False
        self._answers: deque[Outgoing] = deque(maxlen=100)
        self._telemetry = Telemetry(clock)
        self._last_turn = self._status_checked_at = self._files_checked_at = clock()
        self._was_down = False
        self._greeted_at = clock()
        self.max_packet_bytes: int | None = None
        """What the broker of the last connection takes in a packet; None: no limit known."""
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        outbox.on_accepted.append(self.wake)

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
        """Sends waiting alarms as far as the time goes, says `stopped`, disconnects; True where the broker heard it.

        What was not delivered stays in the outbox. Returns after `deadline_seconds` at the latest.
        """
        self._stop_deadline = self._clock() + deadline_seconds
        self._stopping.set()
        self.wake()
        thread = self._thread
        if thread is None:
            return False
        thread.join(deadline_seconds)
        return not thread.is_alive() and self._said_goodbye

    def wake(self) -> None:
        """There is something new to send. Also notices a dead thread, and starts another."""
        with suppress(OSError):
            self._wake_out.send(b"\0")
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self._stopping.is_set():
            log.error("the publisher's thread died; starting another")
            self._ensure_thread()

    def seconds_since_turn(self) -> float:
        """Age of the thread's last sign of life while it is connected: for a watchdog."""
        return self._clock() - self._last_turn

    def publish_state(self, camera: str, state: StatePayload) -> None:
        """Publishes the state of a camera, retained; only the latest counts, and every connection begins with it."""
        self.publish_document(self._topics.state(camera), state.to_bytes())

    def publish_document(self, topic: str, payload: bytes) -> None:
        """Publishes a retained document; only the latest of a topic counts, and every connection begins with it."""
        self._board.put(topic, payload)
        self.wake()

    def notify(self, message: Outgoing) -> None:
        """Publishes once, at QoS 1, kept in memory until the PUBACK: for what is worth a message, but is no alarm."""
        self._notices.put(message)
        self.wake()

    def publish_telemetry(self, topic: str, payload: bytes) -> None:
        """Publishes at QoS 0: the latest of each topic, 20 a second at most, dropped while there is no broker."""
        if self.connected:
            self._telemetry.put(topic, payload)

    def problem(self, what: str, text: str | None) -> None:
        """Something is wrong with the agent (or no more: None); `what` identifies it. Published in `status`."""
        self.reporter.problem(what, text)

    def report(self) -> DeliveryPayload:
        """How delivery stands: counts, latency from capture to PUBACK, problems. Raises `Temporary`."""
        return self.reporter.delivery(connected=self.connected)

    def subscribe(self, topic_filter: str, handler: MessageHandler) -> None:
        """Hands messages to `handler`, on the publisher's thread: it has to return at once. Errors in it are logged."""
        self._subscriptions.add(topic_filter, handler)
        self.wake()

    def respond(self, request: CommandMessage, payload: bytes, *, fallback_topic: str) -> None:
        """Answers a command: to its response topic with its correlation data, else to `fallback_topic`."""
        topic = request.response_topic
        if topic is not None and not may_answer_on(topic, self._topics.owned_filters()):
            log.warning("answer to %s: response topic %s refused", ascii(request.topic), ascii(topic)[:120])
            topic = None
        message = Outgoing(
            fallback_topic if topic is None else topic,
            payload,
            media_type="application/json",
            correlation_data=request.correlation_data,
        )
        with self._lock:
            self._answers.append(message)
        self.wake()

    def wait_until_delivered(self, timeout_seconds: float) -> bool:
        """True once nothing waits in the outbox any more, False after the timeout."""
        end = self._clock() + timeout_seconds
        while self._outbox.waiting() > 0:
            if self._clock() >= end:
                return False
            time.sleep(0.01)
        return True

    # The thread

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._said_goodbye = False
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()

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
        if self._protocol.fall_back():
            log.info("broker %s does not speak MQTT 5: going on with MQTT 3.1.1", self._broker.name)
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
        session: Session | None = None
        try:
            connection.open()
            session = self._new_session(connection, self._await_connack(connection))
            self._greet(connection)
            while not self._stopping.is_set():
                self._turn(connection, session, connected_at)
                self._check_files(files)
            self._say_goodbye(connection, session, connected_at)
        except ConnectionLost as lost:
            if session is not None and lost.closed_by_broker:
                self._suspicions.connection_lost(session.images_in_flight)
            raise
        finally:
            self._connected.clear()
            connection.close()
            if session is not None:
                self._judge_connection(session)
                self._protocol.ended()
                session.settle(all_of_it=True)

    def _judge_connection(self, session: Session) -> None:
        """One that lasted makes a clean slate; one that broke at once, with nothing brought, is one more failure."""
        lasted = self._clock() - self._greeted_at >= LASTING_SECONDS
        if lasted:
            self._was_down = False
        if lasted or session.rows_delivered > 0:
            self._backoff.reset()

    def _new_connection(self, connected_at: datetime) -> Connection:
        will = self.reporter.last_will(connected_at)
        return Connection(
            self._broker,
            client_id=self._client_id,
            protocol=self._protocol.version,
            will=Outgoing(self._topics.status(), will, retain=True, media_type="application/json"),
            wake=self._wake_in,
            # The session has to live as long as the will is delayed, and a connection that does not take the session
            # up again would let the will go (MQTT 5, 3.1.3.2.2 and 3.1.4).
            session_expiry_seconds=self._broker.will_delay_seconds,
            clean_start=self._protocol.version is not Protocol.MQTT_5,
        )

    def _await_connack(self, connection: Connection) -> Connected:
        end = self._clock() + CONNACK_TIMEOUT_SECONDS
        try:
            while self._clock() < end and not self._stopping.is_set():
                for event in connection.turn(TURN_SECONDS):
                    if isinstance(event, Connected):
                        self._protocol.answered()
                        return event
        except ConnectionLost as lost:
            if lost.closed_by_broker and not lost.explained:
                self._protocol.refused_silently()
            raise
        raise ConnectionLost(f"broker {self._broker.name}: no answer to CONNECT")

    def _new_session(self, connection: Connection, connected: Connected) -> Session:
        self.max_packet_bytes = connected.maximum_packet_bytes
        return Session(
            connection,
            connected,
            outbox=self._outbox,
            output=self._output,
            board=self._board,
            notices=self._notices,
            suspicions=self._suspicions,
            clock=self._clock,
            delivered=self._delivered,
            omitted_topic=lambda row: self._topics.image(row.camera, row.alarm, "omitted"),
            backlog_images_per_second=self._backlog_images_per_second,
        )

    def _greet(self, connection: Connection) -> None:
        spoken = self._protocol.version.name.replace("_", " ", 1).replace("_", ".")
        log.info("broker %s: connected (%s)", self._broker.name, spoken)
        self._greeted_at = self._clock()
        for topic_filter in self._subscriptions.all_filters():
            connection.subscribe(topic_filter)
        self._files_checked_at = self._clock()
        self._status_checked_at = self._clock() - STATUS_CHECK_SECONDS
        self._connected.set()

    def _turn(self, connection: Connection, session: Session, connected_at: datetime) -> None:
        self._refresh_status(session, connected_at)
        self._take_new(connection, session)
        session.pump()
        events = connection.turn(TURN_SECONDS)
        self._last_turn = self._clock()
        self._handle(events, session)
        session.settle()
        if session.stalled():
            raise ConnectionLost(f"broker {self._broker.name}: no PUBACK in time, the connection is taken for dead")

    def _take_new(self, connection: Connection, session: Session) -> None:
        """Moves what other threads left here to the connection."""
        for topic_filter in self._subscriptions.new_filters():
            connection.subscribe(topic_filter)
        with self._lock:
            answers = list(self._answers)
            self._answers.clear()
        for message in answers:
            session.answer(message)
        for topic, payload in self._telemetry.take_due().items():
            session.telemetry(Outgoing(topic, payload, qos=0, media_type="application/json"))

    def _handle(self, events: list[ConnectionEvent], session: Session) -> None:
        for event in events:
            if isinstance(event, Acknowledged):
                session.acknowledged(event)
            elif isinstance(event, Received):
                self._subscriptions.hand_over(event.to_command(self._clock()))
            elif isinstance(event, Subscribed) and event.code >= 0x80:
                text = f"the broker refuses the subscription to {event.topic_filter}: {event.reason}"
                self.problem("commands", text)
                log.warning("%s", text)

    def _delivered(self, row: Row, now: float) -> None:
        self.reporter.delivered(row, now)
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
            raise ConnectionLost("certificates or password changed: connecting anew")

    def _refresh_status(self, session: Session, connected_at: datetime) -> None:
        now = self._clock()
        if now - self._status_checked_at < STATUS_CHECK_SECONDS:
            return
        self._status_checked_at = now
        self.reporter.problem("delivery", session.problem)
        try:
            news = self.reporter.news(connected_at)
        except Temporary as error:
            self.reporter.problem("outbox", str(error))
            return
        self.reporter.problem("outbox", None)
        if news is not None:
            self._board.put(self._topics.status(), news)

    def _say_goodbye(self, connection: Connection, session: Session, connected_at: datetime) -> None:
        """Alarms first, for half of the time; then `stopped`, and the last will is withdrawn by a proper end."""
        half = self._clock() + (self._stop_deadline - self._clock()) / 2
        said = False
        while self._clock() < self._stop_deadline - 0.1:
            if not said and (self._outbox.alarms_waiting() == 0 or self._clock() > half):
                self._board.put(self._topics.status(), self.reporter.status(Presence.STOPPED, connected_at).to_bytes())
                said = True
            self._take_new(connection, session)
            session.pump(images=False)
            if said and session.idle:
                break
            self._handle(connection.turn(0.05), session)
            session.settle(all_of_it=True)
        self._said_goodbye = said and session.idle
        connection.disconnect()
        with suppress(ConnectionLost):
            connection.turn(0.05)
