"""Rows that the broker rejected, or that may be the reason why it closed a connection."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from agent.outputs.outbox import Row

# An image is suspected if the broker closed the connection this often while it was in flight. It is then sent alone,
# and left out if the connection is closed again. (Mosquitto answers a payload above its `message_size_limit` with
# PUBACK 0x95, which MQTT 5 does not allow there and paho treats as a protocol error; MQTT 3.1.1 brokers just close.)
SUSPECT_LOSSES = 2
OMIT_LOSSES = 4

# Suspected rows that are remembered; more are forgotten all at once.
MAX_SUSPECTED = 1000


@dataclass(frozen=True, slots=True)
class Rejection:
    """The latest rejection of a row."""

    attempts: int
    not_before: float
    """Monotonic time of the next attempt, seconds."""


@dataclass
class Suspicions:
    """Outlives a connection, since such a row may end it."""

    losses: Counter[int] = field(default_factory=Counter)
    """By row id: how often the broker closed the connection while the row was in flight."""
    rejections: dict[int, Rejection] = field(default_factory=dict)
    """By row id."""

    def connection_lost(self, images: list[Row]) -> None:
        """The broker closed the connection while these were in flight."""
        for row in images:
            limit = OMIT_LOSSES if len(images) == 1 else SUSPECT_LOSSES
            self.losses[row.id] = min(self.losses[row.id] + 1, limit)
        if len(self.losses) > MAX_SUSPECTED:
            self.losses.clear()

    def too_large(self, row: Row) -> None:
        """The broker answered that this image is too large."""
        self.losses[row.id] = OMIT_LOSSES

    def forget(self, row: Row) -> None:
        """The row is delivered, replaced or given up."""
        self.losses.pop(row.id, None)
        self.rejections.pop(row.id, None)

    def is_suspected(self, row: Row) -> bool:
        """The image has to be sent alone."""
        return self.losses[row.id] >= SUSPECT_LOSSES

    def is_to_be_omitted(self, row: Row) -> bool:
        """The image cannot be sent to this broker."""
        return self.losses[row.id] >= OMIT_LOSSES

    def attempts(self, row: Row) -> int:
        """How often the broker has rejected the row."""
        rejection = self.rejections.get(row.id)
        return 0 if rejection is None else rejection.attempts

    def waiting(self, now: float) -> set[int]:
        """Ids of the rejected rows whose next attempt is later than `now`."""
        return {identity for identity, rejection in self.rejections.items() if rejection.not_before > now}
