"""The messages that wait for their PUBACK: the sending window of one connection."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from agent.outputs.outbox import Row

# The slowest link supported, bytes per second: on it, what is in flight needs this much longer for its PUBACK.
SLOWEST_LINK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """A message in flight: a row of the outbox, a retained document, a notice, or else a response."""

    sent_at: float
    """Monotonic seconds."""
    bytes: int
    row: Row | None = None
    topic: str | None = None
    """Of a retained document."""
    version: int = 0
    """Of a retained document."""
    notice: int | None = None
    """Number of the notice."""
    result: Row | None = None
    """The result of a part, a row of another outbox."""


class InFlight:
    """Holds at most `capacity` messages. For one thread."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._sent: dict[int, Sent] = {}

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def room(self) -> int:
        """Messages that may still be sent."""
        return self.capacity - len(self._sent)

    def add(self, mid: int, sent: Sent) -> None:
        self._sent[mid] = sent

    def pop(self, mid: int) -> Sent | None:
        """Remove and return the message with this id; None if there is none."""
        return self._sent.pop(mid, None)

    @property
    def rows(self) -> list[Row]:
        """Rows of the outbox, in the order in which they were sent."""
        return [sent.row for sent in self._sent.values() if sent.row is not None]

    @property
    def images(self) -> list[Row]:
        return [row for row in self.rows if row.is_image]

    @property
    def topics(self) -> Collection[str | None]:
        """Topics of the retained documents."""
        return {sent.topic for sent in self._sent.values()}

    @property
    def has_notice(self) -> bool:
        return any(sent.notice is not None for sent in self._sent.values())

    @property
    def has_response(self) -> bool:
        return any(sent.row is None and sent.topic is None and sent.notice is None for sent in self._sent.values())

    def is_overdue(self, now: float, timeout_seconds: float) -> bool:
        """The oldest message has waited longer than the PUBACK timeout, even on the slowest link supported."""
        if not self._sent:
            return False
        timeout = timeout_seconds + sum(sent.bytes for sent in self._sent.values()) / SLOWEST_LINK
        return now - next(iter(self._sent.values())).sent_at > timeout
