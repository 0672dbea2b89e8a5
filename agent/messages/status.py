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
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload


class Presence(str, Enum):
    """Whether the agent is running and connected."""

    ONLINE = "online"
    OFFLINE = "offline"
    STOPPED = "stopped"


class LatencyPayload(Payload):
    """Percentiles of a duration, over the last 10,000 values."""

    p50: NonNegativeFloat = Field(description="Median, milliseconds.")
    p95: NonNegativeFloat = Field(description="95th percentile, milliseconds.")
    p99: NonNegativeFloat = Field(description="99th percentile, milliseconds.")

    @classmethod
    def of(cls, durations: Durations) -> LatencyPayload | None:
        """The percentiles of `durations`; None before the first value."""
        found = durations.percentiles()
        return None if found is None else cls(p50=found[0], p95=found[1], p99=found[2])


class ResultsPayload(Payload):
    """The results of parts that wait on the agent's disk, and those that were lost."""

    waiting: NonNegativeInt = Field(description="Results not yet acknowledged by the broker.")
    sequence: NonNegativeInt = Field(description="The latest sequence number of a result; 0 before the first.")
    dropped: NonNegativeInt = Field(description="Results dropped because their disk quota was used up, ever.")
    dead_letters: NonNegativeInt = Field(description="Results that the broker rejected for good, ever.")
    dropped_pictures: NonNegativeInt = Field(
        default=0, description="Heatmaps of ok parts dropped because the disk quota was used up, ever."
    )
    missing: list[NonNegativeInt] = Field(
        default_factory=list,
        description="The latest sequence numbers of results (100 at most) that will never arrive: dropped or rejected.",
    )
    epoch: str | None = Field(default=None, description="Id of this run, as in its results.")


class OutboxPayload(Payload):
    """The messages that wait on the agent's disk, and those that were lost."""

    waiting: NonNegativeInt = Field(description="Messages not yet acknowledged by the broker.")
    waiting_bytes: NonNegativeInt = Field(description="Their size on disk, bytes.")
    sequence: NonNegativeInt = Field(description="The latest sequence number; 0 before the first alarm.")
    epoch: str | None = Field(
        default=None,
        description="Id of this run of the agent, as in its alarms. If `sequence` is lower than in an earlier epoch, "
        "the outbox was lost or restored from a backup.",
    )
    dropped_pictures: NonNegativeInt = Field(description="Images dropped because the disk quota was used up, ever.")
    dropped_alarms: NonNegativeInt = Field(
        description="Alarm messages dropped because the disk quota was used up, ever."
    )
    dead_letters: NonNegativeInt = Field(description="Messages that the broker rejected for good, ever.")
    omitted_pictures: NonNegativeInt = Field(
        description="Images above the broker's packet limit, since the agent started."
    )
    missing: list[NonNegativeInt] = Field(
        default_factory=list,
        description="The latest sequence numbers (100 at most) that will never arrive: dropped or rejected.",
    )
    results: ResultsPayload | None = Field(
        default=None, description="The results of parts, which are counted apart; null where no camera has parts."
    )


class DeliveryPayload(Payload):
    """Delivery to the broker, for `inspectd status`."""

    connected: bool = Field(description="The broker has accepted the connection.")
    outbox: OutboxPayload
    latency_ms: LatencyPayload | None = Field(
        default=None, description="From the capture of a frame to the PUBACK of its alarm; null before the first."
    )
    problems: list[str] = Field(default_factory=list, description="Problems of delivery, one line each.")


class StatusPayload(Payload):
    """The status of the agent: online, offline (its last will), or stopped on purpose. Retained."""

    schema_id: Literal["inspectd.status/1"] = Field(
        default="inspectd.status/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    status: Presence = Field(description="offline: the broker published the last will after losing the connection.")
    site: str = Field(description="Name of the site.")
    version: str = Field(description="Version of inspectd.")
    at: Instant | None = Field(
        default=None, description="When this document was written; null in the last will, which the broker publishes."
    )
    connected_at: Instant = Field(description="When the connection to the broker was opened.")
    outbox: OutboxPayload | None = Field(default=None, description="The outbox; null in the last will.")
    delivery_ms: LatencyPayload | None = Field(
        default=None,
        description="From the capture of a frame to the broker's PUBACK of its alarm; null before the first.",
    )
    problems: list[str] = Field(default_factory=list, description="Problems of the agent, one line each.")
    page: str | None = Field(
        default=None, description="Address of the page of this device, for browsers; null where it announces none."
    )
