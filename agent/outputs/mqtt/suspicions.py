"""Rows that the broker may be choking on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from agent.outputs.outbox import Row

# The broker closed the connection this often with an image in flight, at last with this one alone: it is the image.
# (Mosquitto answers to a payload above its `message_size_limit` with PUBACK 0x95, which MQTT 5 does not allow there and
# paho takes for a broken protocol; MQTT 3.1.1 brokers just close.)
SUSPECT_LOSSES = 2


POISON_LOSSES = 4


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

    def connection_lost(self, images: list[Row]) -> None:
        """The broker closed the connection while these were in flight."""
        for row in images:
            limit = POISON_LOSSES if len(images) == 1 else SUSPECT_LOSSES
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
