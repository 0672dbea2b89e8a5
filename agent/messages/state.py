"""The retained state of a camera, and score telemetry."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
    FiniteFloat,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
)

from agent.core.records import Phase
from agent.messages.base import Instant, Payload, Score, Sha256
from agent.messages.status import LatencyPayload


class ModelPayload(Payload):
    """Which model judged."""

    name: str
    sha256: Sha256 = Field(description="Of the bundle's manifest: the identity of the bundle.")


class RulePayload(Payload):
    """k of n: the alarm stands when the k-th largest of the last n scores is above the threshold."""

    k: PositiveInt
    n: PositiveInt


class ProgressPayload(Payload):
    """How far the window of good frames is filled."""

    frames: NonNegativeInt
    wanted: PositiveInt


class StatePayload(Payload):
    """One camera: what the agent does with it. Retained; the latest one counts."""

    schema_id: Literal["inspectd.state/1"] = Field(default="inspectd.state/1", alias="schema")
    site: str
    camera: str
    at: Instant = Field(description="When this was written.")
    phase: Phase
    reason: str | None = Field(default=None, description="Why it is in this phase, in words, where that helps.")
    threshold: Score | None = Field(default=None, description="Null until calibrated.")
    rule: RulePayload | None = None
    calibration: str | None = Field(default=None, description="Id of the active calibration.")
    promise: str | None = Field(default=None, description="What the calibration promises, in words.")
    model: ModelPayload | None = None
    engine: str | None = Field(default=None, description="Name of the engine that runs the model.")
    engine_reason: str | None = Field(default=None, description="Why it is this engine, in words.")
    frames: NonNegativeInt = Field(default=0, description="Frames judged since start.")
    dropped: NonNegativeInt = Field(default=0, description="Frames that a live camera delivered and nobody judged.")
    frames_per_second: NonNegativeFloat = Field(default=0.0, description="Frames judged a second, lately.")
    latency_ms: LatencyPayload | None = Field(default=None, description="Capture of a frame to its verdict.")
    progress: ProgressPayload | None = Field(default=None, description="Of a calibration under way, else null.")
    drift: bool = Field(default=False, description="The scores of good parts have shifted: recalibrate soon.")
    shift: FiniteFloat | None = Field(
        default=None, description="While they have: how far, in standard deviations of a good score."
    )
    alarm: str | None = Field(default=None, description="Id of the alarm that stands, else null.")


class ScorePayload(Payload):
    """Telemetry: the score of one frame, QoS 0, rate limited, lost while the broker is away."""

    schema_id: Literal["inspectd.score/1"] = Field(default="inspectd.score/1", alias="schema")
    camera: str
    captured_at: Instant
    frame: NonNegativeInt
    score: Score
    statistic: Score = Field(description="What is compared with the threshold: the k-th largest of the last n scores.")
    threshold: Score | None = Field(description="Null until calibrated.")
