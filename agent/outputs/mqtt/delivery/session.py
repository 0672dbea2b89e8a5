"""What is sent over one connection, in which order, and what the broker's answers mean.

In this order: retained documents, alarms, responses, notices, results of parts, images of alarms, heatmaps of good
parts; one place is kept for an alarm.
Of each camera only one alarm is in flight: of two, the broker could reject the first and accept the second, and the
order of the camera would be lost. Images of a backlog are sent at a limited rate, and neither images nor results fill
window or link, so that a live alarm always finds room.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import Any

from agent.core.errors import Temporary
from agent.mqtt import Acknowledged, Connected, Connection, ConnectionLost, Outgoing
from agent.outputs.mqtt.delivery.limits import BacklogRate, ImageWindow, InFlight, PacketLimit, Rejection, Sent
from agent.outputs.mqtt.delivery.result_flow import ResultFlow
from agent.outputs.mqtt.delivery.shared import MAX_RESPONSES, Shared
from agent.outputs.mqtt.flood import RateLimit
from agent.outputs.outbox import Row

log = logging.getLogger(__name__)

# Messages in flight at most: Mosquitto's default, and enough for 400 messages a second on a link with 50 ms delay.
WINDOW = 20

# In a smaller window, no place is kept for responses: alarms come first.
MIN_WINDOW_FOR_RESPONSES = 4

# Acknowledged rows are deleted this many at a time, or after this long: a row that is not deleted when the agent is
# killed is only sent twice. A commit writes whole pages to the log, however little it deletes.
DELETED_TOGETHER = 100
DELETE_AFTER_SECONDS = 0.05

# PUBACK reason codes (MQTT 5, 3.4.2.1): from here on the message is rejected.
_REJECTED = 0x80
# Those that another attempt cannot change: topic name invalid, payload format invalid.
_FINAL = {0x90, 0x99}
# Packet too large: Mosquitto's answer to a payload above its `message_size_limit`.
_TOO_LARGE = 0x95

# An image that is rejected this often for any other reason is given up; an alarm is never given up.
IMAGE_ATTEMPTS = 8


class Session:
    """Sends over one connection what outbox and publisher have, and handles the PUBACKs. For one thread."""

    def __init__(self, connection: Connection, connected: Connected, shared: Shared) -> None:
        self._connection = connection
        self._shared = shared
        self._outbox = shared.outbox
        self._clock = shared.clock
        self._suspicions = shared.suspicions
        self._limit = PacketLimit(
            connected.maximum_packet_bytes,
            shared.outbox,
            shared.suspicions,
            lambda row: shared.topics.image(row.camera, row.alarm, "omitted"),
        )
        self._retain_available = connected.retain_available
        self._maximum_qos = connected.maximum_qos
        self._in_flight = InFlight(max(1, min(WINDOW, connected.receive_maximum)))
        self._sent_versions: dict[str, int] = {}
        self._responses: deque[Outgoing] = deque()
        self._warnings = RateLimit(0.1, at_once=5)
        # Acknowledged rows that are not deleted yet, and since when there are any.
        self._acknowledged: dict[int, Row] = {}
        self._acknowledged_since = 0.0
        timing = shared.timing
        self._results = ResultFlow(
            shared.results,
            shared.output,
            limit=self._limit,
            retry_seconds=(timing.retry_first_seconds, timing.retry_max_seconds),
        )
        self._image_window = ImageWindow()
        self._backlog_end = shared.outbox.last_id()
        self._backlog_rate = BacklogRate(shared.timing.backlog_images_per_second, shared.clock())
        self._outbox_paused_until = 0.0
        self.rows_delivered = 0
        """Rows that the broker acknowledged on this connection."""
        self.problem: str | None = None
        """A problem of the outbox, or a rejection by the broker, in one line; None if there is none."""

    @property
    def is_idle(self) -> bool:
        """Nothing is in flight, no notice waits, and every retained document is sent."""
        shared = self._shared
        return not self._in_flight and not shared.notices and not shared.retained.newer_than(self._sent_versions)

    @property
    def images_in_flight(self) -> list[Row]:
        return self._in_flight.images

    def respond(self, message: Outgoing) -> None:
        """Send a response to a command as soon as there is room; it is lost with the connection."""
        fitting = self._limit.response(message)
        if len(self._responses) < MAX_RESPONSES and fitting is not None:
            self._responses.append(fitting)
        else:
            level = logging.WARNING if self._warnings.allows(self._clock()) else logging.DEBUG
            log.log(level, "response on %s given up: too many wait, or it exceeds the packet limit", message.topic)

    def send_telemetry(self, message: Outgoing) -> None:
        """Send at QoS 0, now or never."""
        if self._limit.fits(message):
            self._connection.publish(message)

    def pump(self, *, images: bool = True, results: bool = True) -> None:
        """Fill the window with the most urgent messages."""
        self._send_retained()
        now = self._clock()
        try:
            if now >= self._outbox_paused_until:
                self._send_alarms(now)
            while self._responses and self._free_places > 0:
                self._send(self._responses.popleft())
            self._send_notice()
            if results and now >= self._outbox_paused_until:
                free, capacity = self._free_places, self._in_flight.capacity
                self._results.send(free, capacity, now, lambda message, row: self._send(message, result=row))
            if images and now >= self._outbox_paused_until:
                self._send_images(now)
                if self._free_places > 0 and not self._in_flight.images:
                    self._results.send_heatmap(lambda message, row: self._send(message, result=row))
        except ConnectionLost:
            return  # the next turn raises it, after it has returned the earlier events
        except Temporary as error:
            self._pause_outbox(error)

    @property
    def _free_places(self) -> int:
        """How many messages other than alarms may still be sent: one place is kept for an alarm, if there are two."""
        return self._in_flight.room - 1 if self._in_flight.capacity > 1 else self._in_flight.room

    def is_overdue(self) -> bool:
        """The oldest message in flight has waited longer than the PUBACK timeout."""
        return self._in_flight.is_overdue(self._clock(), self._shared.timing.puback_timeout_seconds)

    # Sending

    def _send(self, message: Outgoing, **what: Any) -> None:
        # At QoS 0 the message counts as acknowledged once it is written to the connection.
        mid = self._connection.publish(replace(message, qos=min(message.qos, self._maximum_qos)))
        self._in_flight.add(mid, Sent(self._clock(), len(message.payload), **what))

    def _send_retained(self) -> None:
        in_flight = self._in_flight.topics
        for topic, version, payload in self._shared.retained.newer_than(self._sent_versions):
            if self._free_places > 0 and topic not in in_flight:
                if not payload and not self._retain_available:
                    self._sent_versions[topic] = version  # the broker keeps nothing that could be removed
                    continue
                expiry = self._shared.retained.expiry_of(topic) if payload else None
                message = Outgoing(
                    topic,
                    payload,
                    retain=self._retain_available,
                    media_type="application/json",
                    expiry_seconds=expiry,
                )
                if not self._limit.fits(message):
                    self._sent_versions[topic] = version
                    self.problem = self._too_large(message)
                    continue
                self._send(message, topic=topic, version=version)

    def _send_notice(self) -> None:
        """One at a time: notices keep their order, and delay no alarm for long."""
        notices = self._shared.notices
        first = notices.first()
        if first is None or self._free_places <= 0 or self._in_flight.has_notice:
            return
        number, message = first
        if not self._limit.fits(message):
            log.warning("given up: %s", self._too_large(message))
            notices.remove(number)
        elif not notices.may_be_sent(number):
            log.warning("%s given up: %d bytes, the connection ended each time", message.topic, len(message.payload))
            notices.remove(number)
        else:
            self._send(replace(message, retain=message.retain and self._retain_available), notice=number)

    def _too_large(self, message: Outgoing) -> str:
        size = len(message.payload)
        return f"{message.topic}: {size} bytes, the broker accepts packets up to {self._limit.limit} bytes"

    def _send_alarms(self, now: float) -> None:
        rejected = self._suspicions.waiting(now)
        busy = {row.camera for row in self._in_flight.rows if not row.is_image}
        # In the order of their PUBACKs, which is the order of their ids: the last row of a camera has the highest.
        delivered = {row.camera: row.id for row in self._acknowledged.values() if not row.is_image}
        # A backlog of many cameras leaves a place for a response.
        flight = self._in_flight
        kept = bool(self._responses) and not flight.has_response and flight.capacity >= MIN_WINDOW_FOR_RESPONSES
        room, output = flight.room - kept, self._shared.output
        for row in self._outbox.next_alarms(room, output=output, busy=busy, after=delivered):
            if row.id not in rejected:
                message = self._limit.alarm(self._shared.capture_time.corrected(row))
                if message is not None:
                    self._send(message, row=row)

    def _send_images(self, now: float) -> None:
        images = self._in_flight.images
        space = self._image_window.bytes - sum(len(row.payload) for row in images)
        room = self._free_places
        if room <= 0 or space <= 0 or any(map(self._suspicions.is_suspected, images)):
            return
        output, excluding = self._shared.output, self._excluded(now)
        for row in self._outbox.next_images(room, output=output, excluding=excluding, max_bytes=space):
            alone = self._suspicions.is_suspected(row)
            if (alone and self._in_flight.images) or not self._rate_allows(row, now):
                return
            message = self._limit.image(row)
            if message is not None:
                self._send(message, row=row)
            if alone:
                return

    def _excluded(self, now: float) -> set[int]:
        """Rows that are in flight, acknowledged but not deleted, or rejected recently."""
        return {row.id for row in self._in_flight.rows} | self._suspicions.waiting(now) | set(self._acknowledged)

    def _rate_allows(self, row: Row, now: float) -> bool:
        """Images that waited before the connection was made are sent at a limited rate."""
        return row.id > self._backlog_end or self._backlog_rate.allows(now)

    # Answers of the broker

    def acknowledged(self, event: Acknowledged) -> None:
        """Handle a PUBACK; a delivered row is deleted by the next `delete_acknowledged`."""
        sent = self._in_flight.pop(event.mid)
        if sent is None:
            return
        if sent.topic is not None:
            self._sent_versions[sent.topic] = sent.version
            self._shared.retained.acknowledged(sent.topic, sent.version)
            if event.code >= _REJECTED:
                self.problem = f"the broker rejects {sent.topic}: {event.reason}"
                log.warning("%s", self.problem)
        elif sent.notice is not None:
            self._shared.notices.remove(sent.notice)
            if event.code >= _REJECTED:
                log.warning("the broker rejects a notice: %s", event.reason)
        elif sent.result is not None:
            self._result_answered(sent.result, event)
        elif sent.row is not None and event.code < _REJECTED:
            self._row_delivered(sent.row, sent)
        elif sent.row is not None:
            self._row_rejected(sent.row, event)

    def _result_answered(self, row: Row, event: Acknowledged) -> None:
        if event.code < _REJECTED:
            self._results.delivered(row)
            self.rows_delivered += 1
            return
        try:
            self._results.rejected(row, self._clock(), event.reason, final=event.code in (*_FINAL, _TOO_LARGE))
        except Temporary as error:
            self._pause_outbox(error)

    def _row_delivered(self, row: Row, sent: Sent) -> None:
        now = self._clock()
        self._acknowledged_since = self._acknowledged_since if self._acknowledged else now
        self._acknowledged[row.id] = row
        if row.is_image:
            self._image_window.acknowledged(sent.bytes, delay_seconds=now - sent.sent_at)
        self._suspicions.forget(row)
        self.rows_delivered += 1
        self._shared.delivered(row, now)

    def _row_rejected(self, row: Row, event: Acknowledged) -> None:
        attempts = self._suspicions.attempts(row) + 1
        self.problem = f"the broker rejects {row.topic}: {event.reason}"
        log.log(logging.WARNING if attempts == 1 else logging.DEBUG, "%s (attempt %d)", self.problem, attempts)
        too_large = event.code == _TOO_LARGE
        if too_large and row.is_image:
            self._suspicions.too_large(row)
        elif event.code in _FINAL or (row.is_image and attempts >= IMAGE_ATTEMPTS):
            self._suspicions.forget(row)
            self._give_up(row, event.reason)
            return
        timing = self._shared.timing
        wait = 0.0 if too_large else min(timing.retry_first_seconds * 2.0 ** (attempts - 1), timing.retry_max_seconds)
        self._suspicions.rejections[row.id] = Rejection(attempts, self._clock() + wait)

    def _give_up(self, row: Row, reason: str) -> None:
        try:
            self._outbox.reject(row, reason)
        except Temporary as error:
            self._pause_outbox(error)

    def delete_acknowledged(self, *, all_of_them: bool = False) -> None:
        """Delete the acknowledged rows, many in one transaction; if the disk fails, they are deleted later.

        A few rows wait for others while something is in flight, unless `all_of_them` are to be deleted.
        """
        now = self._clock()
        if now < self._outbox_paused_until:
            return
        try:
            self._results.delete_acknowledged(all_of_them=all_of_them)
        except Temporary as error:
            self._pause_outbox(error)
        if not (self._acknowledged or self._outbox.has_undeleted):
            return
        waited = now - self._acknowledged_since
        few = 0 < len(self._acknowledged) < DELETED_TOGETHER and waited < DELETE_AFTER_SECONDS
        if few and self._in_flight and not all_of_them:
            return
        try:
            self._outbox.acknowledge(self._acknowledged)
        except Temporary as error:
            self._pause_outbox(error)
            return
        finally:
            self._acknowledged.clear()  # the outbox does not offer them again, even if it could not delete them
        self.problem = None if not self._suspicions.rejections else self.problem

    def _pause_outbox(self, error: Temporary) -> None:
        """The disk fails: leave the outbox alone for a while, and log the error once."""
        if self.problem != str(error):
            log.warning("%s", error)
        self.problem = str(error)
        self._outbox_paused_until = self._clock() + self._shared.timing.outbox_pause_seconds
