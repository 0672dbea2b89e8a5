"""Every document that the agent sends or receives, as pydantic models; the JSON Schemas are generated from them."""

from agent.messages.alarm import AlarmPayload, ImagePayload, OmittedPayload
from agent.messages.base import parse, utc_text
from agent.messages.command import (
    MAX_COMMAND_BYTES,
    REQUESTS,
    RESULTS,
    CommandRequest,
    CommandResponse,
    Execute,
    ReloadResult,
    SnapshotImage,
    SnapshotResult,
    parse_request,
)
from agent.messages.event import EventPayload, drift_event, drift_sentence, engine_event
from agent.messages.state import ModelPayload, ProgressPayload, RulePayload, ScorePayload, StatePayload
from agent.messages.status import DeliveryPayload, LatencyPayload, OutboxPayload, Presence, StatusPayload

__all__ = [
    "MAX_COMMAND_BYTES",
    "REQUESTS",
    "RESULTS",
    "AlarmPayload",
    "CommandRequest",
    "CommandResponse",
    "DeliveryPayload",
    "EventPayload",
    "Execute",
    "ImagePayload",
    "LatencyPayload",
    "ModelPayload",
    "OmittedPayload",
    "OutboxPayload",
    "Presence",
    "ProgressPayload",
    "ReloadResult",
    "RulePayload",
    "ScorePayload",
    "SnapshotImage",
    "SnapshotResult",
    "StatePayload",
    "StatusPayload",
    "drift_event",
    "drift_sentence",
    "engine_event",
    "parse",
    "parse_request",
    "utc_text",
]
