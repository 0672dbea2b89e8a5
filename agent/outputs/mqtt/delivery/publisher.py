"""The thread that delivers to the broker: keeps a connection up, and works through its absence.

It survives every error, and is restarted should it end nevertheless.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from importlib.metadata import version

from agent.core.backoff import Backoff
from agent.core.durations import Durations
from agent.core.errors import InspectdError
from agent.core.problems import Problems
from agent.core.records import Phase
from agent.messages import DeliveryPayload, StatePayload
from agent.mqtt import (
    Broker,
    CommandMessage,
    Connected,
    ConnectionLost,
    Outgoing,
    Protocol,
    ProtocolVersion,
    UnsupportedVersion,
    WillRejected,
)
from agent.outputs.capture_time import CaptureTime
from agent.outputs.mqtt.delivery.agent_status import AgentStatus
from agent.outputs.mqtt.delivery.link import Link, StopRequest, Wake
from agent.outputs.mqtt.delivery.response_topics import ResponseTopics
from agent.outputs.mqtt.delivery.shared import Shared
from agent.outputs.mqtt.delivery.subscriptions import MessageHandler
from agent.outputs.mqtt.delivery.takeover import Takeovers
from agent.outputs.mqtt.delivery.timing import Timing
from agent.outputs.mqtt.topics import Topics
from agent.outputs.outbox import DEFAULT_OUTPUT, Outbox, Row

log = logging.getLogger(__name__)


class Publisher:
    """Publishes outbox, retained documents, notices, responses and telemetry. Any thread may call any method.

    Args:
        broker: address and credentials.
        topics: the topic tree, from which the client id follows; two agents with one id end each other's connections.
        outbox: holds the alarms to deliver.
        output: names the rows of the outbox to deliver.
        problems: where problems are reported, and those of others are read; None for its own.
        delivery_durations: takes the time from capture to PUBACK of each alarm; None for its own.
        delivered: called on the publisher's thread with a row and the monotonic time of its PUBACK, seconds.
        protocol: the version to try first; 3.1.1 follows if the broker does not support 5.
        timing: timeouts, intervals and rates; None for the defaults.
        clock: monotonic seconds, the clock of `Frame.captured_monotonic`.
        capture_time: corrects alarms recorded before the wall clock was set; None for the clock of this device.
    """

    def __init__(
        self,
        broker: Broker,
        topics: Topics,
        outbox: Outbox,
        *,
        output: str = DEFAULT_OUTPUT,
        problems: Problems | None = None,
        delivery_durations: Durations | None = None,
        delivered: Callable[[Row, float], None] | None = None,
        protocol: Protocol = Protocol.MQTT_5,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
        capture_time: CaptureTime | None = None,
    ) -> None:
        timing = timing or Timing()
        self._topics = topics
        self._response_topics = ResponseTopics(topics, clock)
        self._clock = clock
        self._delivered_hook = delivered
        self._protocol = ProtocolVersion(protocol)
        durations = delivery_durations
        self._status = AgentStatus(
            topics.site, version("inspectd"), outbox, clock, problems=problems, durations=durations, output=output
        )
        takeovers = Takeovers(topics.client_id, topics.site, self._status.problems)
        times = capture_time or CaptureTime(clock)
        basis = (broker, topics, outbox, output, self._protocol, timing, clock)
        self._shared = Shared(*basis, self._status, self._delivered, takeovers, times)
        self._backoff = Backoff(timing.reconnect_first_seconds, timing.reconnect_max_seconds)
        self._failing = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._link: Link | None = None
        self._stop = StopRequest()
        self._wake = Wake()
        self.max_packet_bytes: int | None = None
        """Packet limit of the broker of the latest connection, bytes; None: no limit known."""
        outbox.on_accepted.append(self.wake)

    # For other threads

    @property
    def connected(self) -> bool:
        """The broker accepted the connection, and it has not ended as far as is known."""
        link = self._link
        return link is not None and link.connected

    def deliver_results(self, outbox: Outbox) -> None:
        """Deliver the results of parts from this outbox too; call it before `start`."""
        self._shared.results.outbox = outbox
        outbox.on_accepted.append(self.wake)

    def announce_page(self, address: str) -> None:
        """Name the address of the device's page in `status`; call it before `start`."""
        self._status.page = address

    def start(self) -> None:
        """Begin to connect and to deliver; returns at once, with or without a broker."""
        self._stop.clear()
        self._ensure_thread()

    def stop(self, deadline_seconds: float = 1.5) -> bool:
        """Deliver alarms while there is time, publish `stopped`, disconnect; True if the broker acknowledged it.

        What is not delivered stays in the outbox. Returns after `deadline_seconds` at the latest.
        """
        self._stop.set(self._clock() + deadline_seconds)
        self.wake()
        thread = self._thread
        if thread is None:
            return False
        thread.join(deadline_seconds)
        link = self._link
        return not thread.is_alive() and link is not None and link.stop_published

    def wake(self) -> None:
        """There is something new to send. Also restarts the thread if it has ended."""
        self._wake.set()
        thread = self._thread
        if thread is not None and not thread.is_alive() and not self._stop.is_set():
            log.error("the publisher's thread died; starting another")
            self._ensure_thread()

    def publish_state(self, camera: str, state: StatePayload) -> None:
        """Publish the state of a camera, retained: the latest of each camera, and again on every connection."""
        # An agent that stops at once was armed nevertheless.
        stopped = state.phase is Phase.STOPPED
        self._shared.retained.put(self._topics.state(camera), state.to_bytes(), after_previous=stopped)
        self.wake()

    def publish_document(self, topic: str, payload: bytes, *, expiry_seconds: int | None = None) -> None:
        """Publish a retained document: the latest of each topic, and again on every connection.

        `expiry_seconds`: the broker drops it after so long; None: it keeps it.
        """
        self._shared.retained.put(topic, payload, expiry_seconds=expiry_seconds)
        self.wake()

    def remove_documents(self, topics: Collection[str], on_removed: Callable[[str], None]) -> None:
        """Remove retained documents from the broker; calls `on_removed` with each topic, on the publisher's thread."""
        self._shared.retained.on_removed = on_removed
        for topic in topics:
            self._shared.retained.put(topic, b"")
        self.wake()

    def notify(self, message: Outgoing) -> None:
        """Publish once at QoS 1, kept in memory until the PUBACK: for messages that are not alarms."""
        self._shared.notices.put(message)
        self.wake()

    def publish_telemetry(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0: the latest of each topic, at most 20 a second, dropped without a connection."""
        if self.connected:
            self._shared.telemetry.put(topic, payload)

    def report(self) -> DeliveryPayload:
        """Counts, latency from capture to PUBACK, problems. Raises `Temporary` if the outbox cannot be read."""
        return self._status.report(connected=self.connected)

    def subscribe(self, topic_filter: str, handler: MessageHandler) -> None:
        """Call `handler` for each message, on the publisher's thread: it must return at once. Its errors are logged."""
        self._shared.subscriptions.add(topic_filter, handler)
        self.wake()

    def unsubscribe(self, topic_filter: str) -> None:
        """End a subscription."""
        self._shared.subscriptions.remove(topic_filter)
        self.wake()

    def respond(self, request: CommandMessage, payload: bytes, *, fallback_topic: str) -> None:
        """Respond to a command on its response topic, with its correlation data; without one on `fallback_topic`."""
        message = Outgoing(
            self._response_topics.of(request, fallback_topic),
            payload,
            media_type="application/json",
            correlation_data=request.correlation_data,
        )
        self._shared.responses.put(message)
        self.wake()

    # The thread

    def _ensure_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._link = None
                self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._serve_one_connection()
            except UnsupportedVersion as error:
                self._fall_back(error)
            except WillRejected as error:
                self._give_way(error)
            except ConnectionLost as lost:
                self._report_failure(str(lost))
                self._wait_for_other_agent(lost)
            except InspectdError as error:
                self._report_failure(str(error))
            except Exception:
                log.exception("publisher: unexpected error, connecting again")
            if not self._stop.is_set():
                self._stop.wait(self._backoff.next_seconds())

    def _serve_one_connection(self) -> None:
        link = Link(self._shared, self._wake.readable, self._stop, on_connected=self._connected)
        self._link = link
        try:
            link.run()
        finally:
            if link.was_accepted:
                self._protocol.ended()
                self._shared.will.ended()
            if link.lasted:
                self._failing = False
            if link.was_useful:
                self._backoff.reset()

    def _connected(self, connected: Connected) -> None:
        self._protocol.accepted()
        self.max_packet_bytes = connected.maximum_packet_bytes

    def _fall_back(self, error: UnsupportedVersion) -> None:
        if self._protocol.fall_back():
            log.info("broker %s does not support MQTT 5: using MQTT 3.1.1", self._shared.broker.name)
            self._backoff.reset()
        else:
            self._report_failure(str(error))

    def _give_way(self, error: WillRejected) -> None:
        """Connect again with what the broker offers; `Link` reports what is missing."""
        if self._shared.will.rejected(error.code):
            self._backoff.reset()
        else:
            self._report_failure(str(error))

    def _wait_for_other_agent(self, lost: ConnectionLost) -> None:
        link, takeovers = self._link, self._shared.takeovers
        if link is None or not link.was_accepted:
            takeovers.not_connected()
            return
        seconds = takeovers.lost(lost, link.seconds)
        if seconds is not None:
            self._stop.wait(seconds)

    def _report_failure(self, text: str) -> None:
        """First failure WARNING, repeats DEBUG."""
        log.log(logging.DEBUG if self._failing else logging.WARNING, "%s; alarms wait in the outbox", text)
        self._failing = True

    def _delivered(self, row: Row, now: float) -> None:
        self._status.record_delivery(row, now)
        if self._delivered_hook is not None:
            try:
                self._delivered_hook(row, now)
            except Exception:
                log.exception("delivered hook: unexpected error")
