"""The retained status of the agent."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
)

from agent.core.durations import Durations
from agent.messages.base import Instant, Payload


class Presence(str, Enum):
    """Whether the agent is there."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


class LatencyPayload(Payload):
    """Percentiles of a duration, over the last 10,000 events at most."""

    p50: NonNegativeFloat = Field(description="Median, milliseconds.")
    p95: NonNegativeFloat = Field(description="95th percentile, milliseconds.")
    p99: NonNegativeFloat = Field(description="99th percentile, milliseconds.")

    @classmethod
    def of(cls, durations: Durations) -> LatencyPayload | None:
        """The percentiles of `durations`; None before the first."""
        found = durations.percentiles()
        return None if found is None else cls(p50=found[0], p95=found[1], p99=found[2])


class OutboxPayload(Payload):
    """What waits on the agent's disk, and what was lost there."""

    waiting: NonNegativeInt = Field(description="Messages accepted and not yet acknowledged by the broker.")
    waiting_bytes: NonNegativeInt = Field(description="Their size on disk, bytes.")
    sequence: NonNegativeInt = Field(description="The sequence number accepted last; 0 before the first alarm.")
    dropped_pictures: NonNegativeInt = Field(description="Pictures dropped for want of disk quota, ever.")
    dropped_alarms: NonNegativeInt = Field(description="Alarm messages dropped for want of disk quota, ever.")
    dead_letters: NonNegativeInt = Field(description="Messages that the broker refused for good, ever.")
    omitted_pictures: NonNegativeInt = Field(description="Pictures too big for the broker's packet limit, since start.")
    missing: list[NonNegativeInt] = Field(
        default_factory=list,
        description="The latest sequence numbers (100 at most) that will never arrive: dropped or refused.",
    )


class DeliveryPayload(Payload):
    """How delivery stands, for `inspectd status`."""

    connected: bool = Field(description="The broker let the agent in.")
    outbox: OutboxPayload
    latency_ms: LatencyPayload | None = Field(default=None, description="Capture of the frame to its alarm's PUBACK.")
    problems: list[str] = Field(default_factory=list)


class StatusPayload(Payload):
    """The agent itself: online, offline (its last will), or stopped on purpose. Retained."""

    schema_id: Literal["inspectd.status/1"] = Field(default="inspectd.status/1", alias="schema")
    status: Presence
    site: str
    version: str = Field(description="Version of inspectd.")
    at: Instant | None = Field(
        default=None, description="When this was written; null in the last will, which the broker publishes."
    )
    connected_at: Instant = Field(description="When the connection that this is about was opened.")
    outbox: OutboxPayload | None = Field(default=None, description="Null in the last will.")
    delivery_ms: LatencyPayload | None = Field(
        default=None, description="Capture of the frame to the broker's PUBACK of its alarm; null before the first."
    )
    problems: list[str] = Field(default_factory=list, description="What is wrong with the agent, one line each.")
