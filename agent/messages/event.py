"""Events that are no alarms: scores that have drifted, an engine that was rejected."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import (
    Field,
    FiniteFloat,
)

from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload
from agent.messages.promise import BrokenPromisePayload


def drift_sentence(shift: float) -> str:
    """A drift by `shift` standard deviations in words: its consequence, and what to do.

    >>> drift_sentence(1.25)[:69]
    'good parts score 1.2 standard deviations higher than when calibrated:'
    """
    higher = shift > 0
    consequence = "expect more false alarms" if higher else "faint defects may be missed"
    return (
        f"good parts score {abs(shift):.1f} standard deviations {'higher' if higher else 'lower'} than when "
        f"calibrated: {consequence}; check lens, light and product, then `inspectd recalibrate`, with --fresh "
        "if all parts on the line are good"
    )


def drift_event(identity: str, site: str, camera: str, shift: float, calibration: str, at: datetime) -> EventPayload:
    """The event of a drift whose flag was raised.

    Args:
        identity: UUIDv7 of the event.
        site: name of the site.
        camera: name of the camera.
        shift: of the latest good scores, in standard deviations.
        calibration: id of the calibration in force.
        at: UTC.
    """
    shift = round(shift, 3)
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
    """The event of a start on another engine than `auto` would choose.

    Args:
        identity: UUIDv7 of the event.
        site: name of the site.
        camera: name of the camera.
        engine: name of the engine that runs.
        rejected: a sentence for each engine that was rejected.
        at: UTC.
    """
    why = "; ".join(rejected)
    text = f"runs on {engine}: {why}; calibrations made on another engine are not used"
    return EventPayload(id=identity, event="engine", site=site, camera=camera, at=at, text=text)


def promise_event(
    identity: str,
    site: str,
    camera: str,
    event: Literal["promise_broken", "certified"],
    calibration: str,
    at: datetime,
    text: str,
    broken: BrokenPromisePayload | None = None,
) -> EventPayload:
    """The event of a promise that is broken, or that production has certified.

    Args:
        identity: UUIDv7 of the event.
        site: name of the site.
        camera: name of the camera.
        event: which of the two.
        calibration: id of the calibration in force.
        at: UTC.
        text: the event in words.
        broken: how it is broken; None where it is certified.
    """
    return EventPayload(
        id=identity,
        event=event,
        site=site,
        camera=camera,
        at=at,
        calibration=calibration,
        since=None if broken is None else broken.since,
        rate=None if broken is None else broken.rate,
        text=text,
    )


class EventPayload(Payload):
    """Something about a camera that needs attention; never a reason to stop the line."""

    schema_id: Literal["inspectd.event/1"] = Field(
        default="inspectd.event/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str = Field(description="UUIDv7; a repeated delivery has the same.")
    event: Literal["drift", "engine", "promise_broken", "certified"] = Field(
        description="drift: the scores of good parts have shifted; `state` reports it until they are back. "
        "engine: the engine that `auto` would choose was rejected, and another one runs. "
        "promise_broken: false alarms come faster than promised; `state` reports it until the promise is kept again. "
        "certified: production has shown that the promise is kept."
    )
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera.")
    at: Instant = Field(
        description="For drift: capture of the frame that showed it. For engine: time of the rejection. Else: when it "
        "was noticed."
    )
    shift: FiniteFloat | None = Field(
        default=None,
        description="For drift: how far the mean of the latest good scores lies from the calibration's, in standard "
        "deviations.",
    )
    calibration: str | None = Field(default=None, description="Id of the calibration in force; null for engine.")
    since: Instant | None = Field(
        default=None, description="For promise_broken: the first alarm of the higher rate. For certified: null."
    )
    rate: FiniteFloat | None = Field(
        default=None, description="For promise_broken: alarms not judged true per span of the budget."
    )
    text: str = Field(description="The event in words.")
