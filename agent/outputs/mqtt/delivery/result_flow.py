"""Results of parts over one connection: several of a camera in flight, in their order, and only where no alarm waits.

A broker that rejects one of several could put a later one before it; its number in `sequence` shows that. Heatmaps of
ok parts go one at a time, and only where nothing else waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.mqtt import Outgoing
from agent.outputs.mqtt.delivery.limits import PacketLimit, shrink_to_fit
from agent.outputs.outbox import Outbox, Row

log = logging.getLogger(__name__)

# Places of the window that results leave to alarms, responses and documents.
PLACES_LEFT = 4

# Acknowledged results are deleted this many at a time, or once nothing is in flight.
DELETED_TOGETHER = 100


class ResultQueue:
    """Where the results of the agent wait; no outbox where no camera has parts. Outlives the connections."""

    def __init__(self) -> None:
        self.outbox: Outbox | None = None
        """Set before the output starts."""


@dataclass(slots=True)
class _Rejected:
    row: Row
    attempts: int
    retry_at: float


class ResultFlow:
    """Sends results over one connection, and deletes those that the broker acknowledged. For one thread."""

    def __init__(
        self,
        queue: ResultQueue,
        output: str,
        *,
        limit: PacketLimit,
        retry_seconds: tuple[float, float],
    ) -> None:
        """Args:
        queue: where the results wait.
        output: names the rows to deliver.
        limit: the broker's packet limit.
        retry_seconds: the first and the longest wait after a result was rejected.
        """
        self._queue = queue
        self._output = output
        self._limit = limit
        self._retry_seconds = retry_seconds
        self._in_flight: dict[int, Row] = {}
        self._acknowledged: dict[int, Row] = {}
        self._rejected: dict[int, _Rejected] = {}

    def send(self, room: int, capacity: int, now: float, send: Callable[[Outgoing, Row], None]) -> None:
        """Send the oldest results, at most `room` messages of a window of `capacity`. Raises Temporary."""
        outbox = self._queue.outbox
        room = room if capacity == 1 else min(room, max(1, capacity - PLACES_LEFT) - len(self._in_flight))
        if outbox is None or room <= 0:
            return
        for row in self._next(outbox, room, now):
            message = Outgoing(
                row.topic, row.payload, media_type=row.media_type, user_properties=(("sequence", str(row.sequence)),)
            )
            if self._limit.fits(message):
                self._in_flight[row.id] = row
                send(message, row)
            else:
                outbox.reject(row, f"{message.packet_bytes()} bytes exceed the broker's packet limit")

    def _next(self, outbox: Outbox, room: int, now: float) -> list[Row]:
        """Rejected results first: later ones of their camera wait for them."""
        sent = self._in_flight
        rows = [each.row for id_, each in self._rejected.items() if each.retry_at <= now and id_ not in sent][:room]
        busy = {each.row.camera for each in self._rejected.values()}
        after: dict[str, int] = {}
        for row in (*self._acknowledged.values(), *self._in_flight.values()):
            if not row.is_image:
                after[row.camera] = max(after.get(row.camera, 0), row.id)
        while len(rows) < room:
            found = outbox.next_alarms(room - len(rows), output=self._output, busy=busy, after=after)
            if not found:
                break
            rows += found
            after.update({row.camera: row.id for row in found})
        return rows

    def send_heatmap(self, send: Callable[[Outgoing, Row], None]) -> None:
        """Send the heatmap of the latest sampled part, unless another one is in flight. Raises Temporary.

        For after `send`, when there is room: all results are sent. One that is larger than the broker accepts is sent
        smaller.
        """
        outbox = self._queue.outbox
        if outbox is None or self._rejected or any(row.is_image for row in self._in_flight.values()):
            return
        for row in outbox.next_images(1, output=self._output, excluding=set(self._acknowledged)):
            properties = (("result", row.alarm), ("sequence", str(row.sequence)), ("part", row.part))
            message = Outgoing(row.topic, row.payload, media_type=row.media_type, user_properties=properties)
            fitting = shrink_to_fit(message, self._limit.limit)
            if fitting is None:
                outbox.reject(row, f"{message.packet_bytes()} bytes exceed the broker's packet limit")
                continue
            self._in_flight[row.id] = row
            send(fitting[0], row)

    def delivered(self, row: Row) -> None:
        """The broker acknowledged a result; it is deleted by the next `delete_acknowledged`."""
        self._in_flight.pop(row.id, None)
        self._rejected.pop(row.id, None)
        self._acknowledged[row.id] = row

    def rejected(self, row: Row, now: float, reason: str, *, final: bool) -> None:
        """The broker rejected a result: it is given up if that is `final`, else sent again later. Raises Temporary."""
        self._in_flight.pop(row.id, None)
        final = final or row.is_image  # a sample: nothing waits for it
        known = self._rejected.pop(row.id, None)
        attempts = 1 if known is None else known.attempts + 1
        level = logging.WARNING if attempts == 1 else logging.DEBUG
        log.log(level, "the broker rejects %s: %s (attempt %d)", row.topic, reason, attempts)
        if final and self._queue.outbox is not None:
            self._queue.outbox.reject(row, reason)
            return
        first, longest = self._retry_seconds
        self._rejected[row.id] = _Rejected(row, attempts, now + min(first * 2.0 ** (attempts - 1), longest))

    def delete_acknowledged(self, *, all_of_them: bool = False) -> None:
        """Delete the acknowledged results, many in one transaction. Raises Temporary; they are deleted later then."""
        outbox = self._queue.outbox
        if outbox is None or not (self._acknowledged or outbox.has_undeleted):
            return
        if len(self._acknowledged) < DELETED_TOGETHER and self._in_flight and not all_of_them:
            return
        acknowledged, self._acknowledged = self._acknowledged, {}
        outbox.acknowledge(acknowledged)
