"""What is sent over one connection, in which order, and what becomes of it: the window between outbox and broker.

Order of precedence: retained documents, answers, notices, alarms, images. One alarm a camera is in flight at a time:
were there two, the broker could refuse the first and take the second, and the order per camera would be lost. Images
of a backlog go at a limited rate, and images never fill the window or the link, so that a live alarm always finds
room.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.core.errors import Temporary
from agent.outputs.mqtt.connection import Connection, ConnectionLost
from agent.outputs.mqtt.image_window import ImageWindow
from agent.outputs.mqtt.notices import Notices
from agent.outputs.mqtt.packet_limit import PacketLimit
from agent.outputs.mqtt.packets import Acknowledged, Connected, Outgoing
from agent.outputs.mqtt.retained import RetainedDocuments
from agent.outputs.mqtt.suspicions import Refusal, Suspicions
from agent.outputs.outbox import Outbox, Row

log = logging.getLogger(__name__)

# In flight at most: Mosquitto's own default, and enough to keep a link of 50 ms busy with 400 messages a second.
WINDOW = 20

# Images of a backlog a second: 10,000 of them are through in under two minutes, and no subscriber is flooded.
BACKLOG_IMAGES_PER_SECOND = 100.0

# A connection on which a PUBACK is this late is taken for dead, beyond what the slowest link served (bytes/s) needs.
PUBACK_TIMEOUT_SECONDS = 10.0
SLOWEST_LINK = 16 * 1024

# Rows are deleted so many, or so many seconds, at a time: one that is not deleted when the agent is killed only comes
# twice. A commit writes whole pages to the log, whatever it deletes.
DELETED_TOGETHER = 100
DELETE_AFTER_SECONDS = 0.05

# PUBACK reason codes (MQTT 5, 3.4.2.1) that no second attempt changes: topic name invalid, payload format invalid.
_HOPELESS = {0x90, 0x99}
# Packet too large, as Mosquitto answers to a payload above its `message_size_limit`.
_TOO_LARGE = 0x95

RETRY_FIRST_SECONDS = 1.0
RETRY_MAX_SECONDS = 60.0

# An image that is refused this often for any other reason is given up; an alarm is tried for as long as it takes.
IMAGE_ATTEMPTS = 8


@dataclass(slots=True)
class _InFlight:
    sent_at: float
    bytes: int
    row: Row | None = None
    topic: str | None = None
    version: int = 0
    notice: int | None = None


class Session:
    """Feeds one open connection from the outbox and the board, and settles what comes back. One thread only."""

    def __init__(
        self,
        connection: Connection,
        connected: Connected,
        *,
        outbox: Outbox,
        output: str,
        board: RetainedDocuments,
        notices: Notices,
        suspicions: Suspicions,
        clock: Callable[[], float],
        delivered: Callable[[Row, float], None],
        omitted_topic: Callable[[Row], str],
        backlog_images_per_second: float = BACKLOG_IMAGES_PER_SECOND,
    ) -> None:
        self._connection = connection
        self._fitting = PacketLimit(connected.maximum_packet_bytes, outbox, suspicions, omitted_topic)
        self._retain = connected.retain_available
        self._window = max(1, min(WINDOW, connected.receive_maximum))
        self._outbox = outbox
        self._output = output
        self._board = board
        self._notices = notices
        self._suspicions = suspicions
        self._clock = clock
        self._delivered = delivered
        self._sent_versions: dict[str, int] = {}
        self._in_flight: dict[int, _InFlight] = {}
        self._settled: dict[int, Row] = {}
        self._settled_since = 0.0
        self._answers: deque[Outgoing] = deque()
        self._image_window = ImageWindow()
        self._backlog_end = outbox.last_id()
        self._rate = backlog_images_per_second
        self._tokens, self._tokens_at = 1.0, clock()
        self._outbox_rests_until = 0.0
        self.rows_delivered = 0
        """Rows that the broker took over this connection."""
        self.problem: str | None = None
        """What is wrong with the store or with the broker's answers, one line; None where all is well."""

    @property
    def idle(self) -> bool:
        """Nothing is in flight, no notice waits, and the board has nothing new."""
        return not self._in_flight and not self._notices and not self._board.newer_than(self._sent_versions)

    @property
    def images_in_flight(self) -> list[Row]:
        return [entry.row for entry in self._in_flight.values() if entry.row is not None and entry.row.is_image]

    def answer(self, message: Outgoing) -> None:
        """An answer to a command; goes when there is room, and is lost with the connection."""
        fitting = self._fitting.answer(message)
        if len(self._answers) < 100 and fitting is not None:
            self._answers.append(fitting)
        else:
            log.warning("answer on %s given up: the broker takes no more or nothing that long", message.topic)

    def telemetry(self, message: Outgoing) -> None:
        """QoS 0: sent now or never."""
        if self._fitting.fits(message):
            self._connection.publish(message)

    def pump(self, *, images: bool = True) -> None:
        """Fills the window with what is most urgent."""
        self._send_board()
        while self._answers and self._room > 0:
            self._send(self._answers.popleft())
        self._send_notice()
        now = self._clock()
        if now < self._outbox_rests_until:
            return
        try:
            self._send_alarms(now)
            if images:
                self._send_images(now)
        except ConnectionLost:
            return  # the next turn says so, once it has handed over what came before
        except Temporary as error:
            self._rest(error)

    def acknowledged(self, event: Acknowledged) -> None:
        """Takes in one PUBACK; rows leave the outbox with the next `settle`."""
        entry = self._in_flight.pop(event.mid, None)
        if entry is None:
            return
        if entry.topic is not None:
            self._board_acknowledged(entry, event)
        elif entry.notice is not None:
            self._notice_acknowledged(entry.notice, event)
        elif entry.row is not None and event.code < 0x80:
            self._settled_since = self._settled_since if self._settled else self._clock()
            self._settled[entry.row.id] = entry.row
            if entry.row.is_image:
                self._image_window.acknowledged(entry.bytes, delay_seconds=self._clock() - entry.sent_at)
            self._suspicions.forget(entry.row)
            self.rows_delivered += 1
            self._delivered(entry.row, self._clock())
        elif entry.row is not None:
            self._refused(entry.row, event)

    def settle(self, *, all_of_it: bool = False) -> None:
        """Deletes what was acknowledged, many rows in one transaction. Where the disk refuses, it is tried again later.

        A few rows wait for others while something is in flight, unless it has to be `all_of_it`.
        """
        now = self._clock()
        if now < self._outbox_rests_until or not (self._settled or self._outbox.has_undeleted):
            return
        few = 0 < len(self._settled) < DELETED_TOGETHER and now - self._settled_since < DELETE_AFTER_SECONDS
        if few and self._in_flight and not all_of_it:
            return
        try:
            self._outbox.acknowledge(self._settled)
        except Temporary as error:
            self._rest(error)
            return
        finally:
            self._settled.clear()  # the outbox offers them no more, whether or not it could delete them
        self.problem = None if not self._suspicions.refusals else self.problem

    def stalled(self) -> bool:
        """The oldest message in flight waits for its PUBACK beyond all patience."""
        if not self._in_flight:
            return False
        patience = PUBACK_TIMEOUT_SECONDS + sum(entry.bytes for entry in self._in_flight.values()) / SLOWEST_LINK
        return self._clock() - next(iter(self._in_flight.values())).sent_at > patience

    # Sending

    @property
    def _room(self) -> int:
        return self._window - len(self._in_flight)

    def _send(self, message: Outgoing, **entry: object) -> None:
        mid = self._connection.publish(message)
        self._in_flight[mid] = _InFlight(self._clock(), len(message.payload), **entry)  # type: ignore[arg-type]

    def _send_board(self) -> None:
        on_the_way = {entry.topic for entry in self._in_flight.values()}
        for topic, version, payload in self._board.newer_than(self._sent_versions):
            if self._room > 0 and topic not in on_the_way:
                message = Outgoing(topic, payload, retain=self._retain, media_type="application/json")
                if not self._fitting.fits(message):
                    self._sent_versions[topic] = version
                    self.problem = f"{topic}: {len(payload)} bytes, the broker takes {self._fitting.limit} in a packet"
                    continue
                self._send(message, topic=topic, version=version)

    def _send_notice(self) -> None:
        """One at a time: they keep their order, and never stand in the way of an alarm for long."""
        waiting = self._notices.first()
        if waiting is None or self._room <= 0 or any(entry.notice is not None for entry in self._in_flight.values()):
            return
        number, message = waiting
        if not self._fitting.fits(message):
            log.warning(
                "%s given up: %d bytes, the broker takes %s", message.topic, len(message.payload), self._fitting.limit
            )
            self._notices.settle(number)
        elif not self._notices.may_be_sent(number):
            log.warning("%s given up: %d bytes, the connection ended each time", message.topic, len(message.payload))
            self._notices.settle(number)
        else:
            self._send(replace(message, retain=message.retain and self._retain), notice=number)

    def _send_alarms(self, now: float) -> None:
        waiting = {identity for identity, refusal in self._suspicions.refusals.items() if refusal.not_before > now}
        on_the_way = (entry.row for entry in self._in_flight.values())
        busy = {row.camera for row in on_the_way if row is not None and not row.is_image}
        # In the order of their PUBACKs, which is the order of their ids: the last of a camera is its highest.
        arrived = {row.camera: row.id for row in self._settled.values() if not row.is_image}
        for row in self._outbox.next_alarms(self._room, output=self._output, busy=busy, after=arrived):
            if row.id not in waiting:
                message = self._fitting.alarm(row)
                if message is not None:
                    self._send(message, row=row)

    def _send_images(self, now: float) -> None:
        images = self.images_in_flight
        bytes_in_flight = sum(len(row.payload) for row in images)
        # One place is kept for an alarm, where the broker gives us two.
        room = self._room - 1 if self._window > 1 else self._room
        if room <= 0 or bytes_in_flight >= self._image_window.bytes or any(map(self._suspicions.suspected, images)):
            return
        space = self._image_window.bytes - bytes_in_flight
        for row in self._outbox.next_images(
            room, output=self._output, excluding=self._untouchable(now), max_bytes=space
        ):
            alone = self._suspicions.suspected(row)
            if (alone and self.images_in_flight) or not self._rate_allows(row, now):
                return
            message = self._fitting.image(row)
            if message is not None:
                self._send(message, row=row)
            if alone:
                return

    def _untouchable(self, now: float) -> set[int]:
        """Rows in flight, acknowledged but not deleted yet, or refused a moment ago."""
        rows = {entry.row.id for entry in self._in_flight.values() if entry.row is not None}
        rows |= {identity for identity, refusal in self._suspicions.refusals.items() if refusal.not_before > now}
        return rows | set(self._settled)

    def _rate_allows(self, row: Row, now: float) -> bool:
        """A token bucket over the images that were waiting when the connection was made."""
        if row.id > self._backlog_end:
            return True
        self._tokens = min(self._tokens + (now - self._tokens_at) * self._rate, max(1.0, self._rate / 10))
        self._tokens_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    # What comes back

    def _board_acknowledged(self, entry: _InFlight, event: Acknowledged) -> None:
        assert entry.topic is not None
        self._sent_versions[entry.topic] = entry.version
        if event.code >= 0x80:
            self.problem = f"the broker refuses {entry.topic}: {event.reason}"
            log.warning("%s", self.problem)

    def _notice_acknowledged(self, number: int, event: Acknowledged) -> None:
        self._notices.settle(number)
        if event.code >= 0x80:
            log.warning("the broker refuses a notice: %s", event.reason)

    def _refused(self, row: Row, event: Acknowledged) -> None:
        attempts = self._suspicions.refusals[row.id].attempts + 1 if row.id in self._suspicions.refusals else 1
        hopeless = event.code in _HOPELESS or (row.is_image and attempts >= IMAGE_ATTEMPTS)
        self.problem = f"the broker refuses {row.topic}: {event.reason}"
        log.log(logging.WARNING if attempts == 1 else logging.DEBUG, "%s (attempt %d)", self.problem, attempts)
        if event.code == _TOO_LARGE and row.is_image:
            self._suspicions.condemn(row)
        elif hopeless:
            self._suspicions.refusals.pop(row.id, None)
            self._bury(row, event.reason)
            return
        wait = min(RETRY_FIRST_SECONDS * 2.0 ** (attempts - 1), RETRY_MAX_SECONDS)
        self._suspicions.refusals[row.id] = Refusal(
            attempts, self._clock() + (0.0 if event.code == _TOO_LARGE else wait)
        )

    def _bury(self, row: Row, reason: str) -> None:
        try:
            self._outbox.reject(row, reason)
        except Temporary as error:
            self._rest(error)

    def _rest(self, error: Temporary) -> None:
        """The store is unwell: leave it alone for a second, and say so once."""
        if self.problem != str(error):
            log.warning("%s", error)
        self.problem = str(error)
        self._outbox_rests_until = self._clock() + 1.0
