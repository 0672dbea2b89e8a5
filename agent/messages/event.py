"""What is worth a message of its own though it is no alarm: scores that drifted, an engine that was refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import (
    Field,
    FiniteFloat,
)

from agent.messages.base import Instant, Payload
from calibration import Drift


def drift_sentence(shift: float) -> str:
    """What a drift by `shift` standard deviations means to somebody at the line.

    >>> drift_sentence(1.25)[:71]
    'good parts score 1.2 standard deviations higher than when calibrated on'
    """
    higher = shift > 0
    consequence = "false alarms will come more often" if higher else "faint defects may be missed"
    return (
        f"good parts score {abs(shift):.1f} standard deviations {'higher' if higher else 'lower'} than when calibrated "
        f"on: {consequence}; look at lens, light and product, then recalibrate"
    )


def drift_event(identity: str, site: str, camera: str, drift: Drift, calibration: str, at: datetime) -> EventPayload:
    """The document of a drift flag that has been raised; `identity` is a UUIDv7, `at` is UTC."""
    shift = round(drift.shift, 3)
    return EventPayload(
        id=identity,
        event="drift",
        site=site,
        camera=camera,
        at=at,
        shift=shift,
        calibration=calibration,
        text=drift_sentence(shift),
    )


def engine_event(
    identity: str, site: str, camera: str, engine: str, rejected: Sequence[str], at: datetime
) -> EventPayload:
    """The document of a start on another engine than `auto` wanted.

    `identity` is a UUIDv7, `engine` the name of the engine that runs, `rejected` a sentence for each that does not,
    `at` is UTC.
    """
    why = "; ".join(rejected)
    text = f"runs on {engine}: {why}; a calibration made on another engine is not used"
    return EventPayload(id=identity, event="engine", site=site, camera=camera, at=at, text=text)


class EventPayload(Payload):
    """Something about a camera that somebody should look after; never a reason to stop the line."""

    schema_id: Literal["inspectd.event/1"] = Field(default="inspectd.event/1", alias="schema")
    id: str = Field(description="UUIDv7; a repeated delivery has the same.")
    event: Literal["drift", "engine"] = Field(
        description="drift: the good scores have moved, `state` says so until they are back. "
        "engine: the one that `auto` would take was refused, and another one runs."
    )
    site: str
    camera: str
    at: Instant = Field(description="Capture of the frame that showed it; of an engine, when it was refused.")
    shift: FiniteFloat | None = Field(
        default=None,
        description="Of drift: how far the mean of the latest good scores lies off the calibration's, in standard "
        "deviations.",
    )
    calibration: str | None = Field(default=None, description="Of drift: id of the calibration in force.")
    text: str = Field(description="The same for a person.")
