"""What a session goes by: retained documents, notices, rows under suspicion, room for pictures."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field

from agent.outputs.mqtt.packets import Outgoing
from agent.outputs.outbox import Row

# A live alarm waits behind the pictures in flight, so there are no more than the link carries in this time.
PICTURE_DELAY_SECONDS = 0.25
MIN_PICTURE_WINDOW_BYTES = 128 * 1024
MAX_PICTURE_WINDOW_BYTES = 4 * 1024 * 1024

# The broker closed the connection this often with a picture in flight, at last with this one alone: it is the picture.
# (Mosquitto answers to a payload above its `message_size_limit` with PUBACK 0x95, which MQTT 5 does not allow there and
# paho takes for a broken protocol; MQTT 3.1.1 brokers just close.)
SUSPECT_LOSSES = 2
POISON_LOSSES = 4

# Notices kept in memory: a drift event is half a kilobyte, and a camera has one in days.
MAX_NOTICES = 100

# A notice that was on its way this often when the connection ended may well be why it did; alarms wait behind it.
NOTICE_ATTEMPTS = 3


class Board:
    """The retained documents: the latest of each topic. What the broker forgot, it is told again on every connect."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}

    def put(self, topic: str, payload: bytes) -> None:
        version, old = self._documents.get(topic, (0, b""))
        if payload != old:
            self._documents[topic] = (version + 1, payload)

    def newer_than(self, sent: dict[str, int]) -> list[tuple[str, int, bytes]]:
        """Topic, version and document of all that is not `sent`."""
        documents = list(self._documents.items())
        return [(topic, version, payload) for topic, (version, payload) in documents if sent.get(topic) != version]


class Notices:
    """Messages worth the wait for a broker that is away, but no place on disk: each is kept until its PUBACK.

    Of a retained topic the latest only. Beyond MAX_NOTICES the oldest give way: what they tell of is old by then, and
    the retained documents know how things stand.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Outgoing] = {}
        self._attempts: Counter[int] = Counter()
        self._numbers = itertools.count()

    def put(self, message: Outgoing) -> None:
        if message.retain:
            for number, waiting in list(self._waiting.items()):
                if waiting.topic == message.topic:
                    self._waiting.pop(number, None)
        self._waiting[next(self._numbers)] = message
        while len(self._waiting) > MAX_NOTICES:
            self._waiting.pop(next(iter(self._waiting)))

    def first(self) -> tuple[int, Outgoing] | None:
        """Number and message of the one that waits longest."""
        return next(iter(list(self._waiting.items())), None)

    def may_be_sent(self, number: int) -> bool:
        """Counts an attempt; False where there have been enough."""
        self._attempts[number] += 1
        return self._attempts[number] <= NOTICE_ATTEMPTS

    def settle(self, number: int) -> None:
        """It has arrived, or never will."""
        self._waiting.pop(number, None)
        self._attempts.pop(number, None)

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that the broker refused lately."""

    attempts: int
    not_before: float
    """Monotonic time of the next attempt, seconds."""


@dataclass
class Suspicions:
    """Rows that the broker refused, or may be choking on; outlives a connection, which may be what such a row costs."""

    losses: Counter[int] = field(default_factory=Counter)
    """How often the broker closed the connection while the row was in flight."""
    refusals: dict[int, Refusal] = field(default_factory=dict)

    def connection_lost(self, pictures: list[Row]) -> None:
        """The broker closed the connection while these were in flight."""
        for row in pictures:
            limit = POISON_LOSSES if len(pictures) == 1 else SUSPECT_LOSSES
            self.losses[row.id] = min(self.losses[row.id] + 1, limit)
        if len(self.losses) > 1000:
            self.losses.clear()

    def condemn(self, row: Row) -> None:
        """The broker said that it is too large."""
        self.losses[row.id] = POISON_LOSSES

    def forget(self, row: Row) -> None:
        """It is settled."""
        self.losses.pop(row.id, None)
        self.refusals.pop(row.id, None)

    def suspected(self, row: Row) -> bool:
        return self.losses[row.id] >= SUSPECT_LOSSES

    def guilty(self, row: Row) -> bool:
        return self.losses[row.id] >= POISON_LOSSES


@dataclass(slots=True)
class PictureWindow:
    """How many bytes of pictures may be in flight: found from their delay, as TCP Vegas finds its window.

    >>> window = PictureWindow()
    >>> window.acknowledged(100_000, delay_seconds=0.01); window.bytes
    231072
    >>> window.acknowledged(100_000, delay_seconds=1.0); window.bytes
    131072
    """

    bytes: int = MIN_PICTURE_WINDOW_BYTES

    def acknowledged(self, picture_bytes: int, *, delay_seconds: float) -> None:
        """A picture was acknowledged so long after it was sent."""
        if delay_seconds < PICTURE_DELAY_SECONDS:
            self.bytes = min(self.bytes + picture_bytes, MAX_PICTURE_WINDOW_BYTES)
        else:
            self.bytes = max(self.bytes // 2, MIN_PICTURE_WINDOW_BYTES)
