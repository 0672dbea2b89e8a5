"""The retained state of a camera, and the telemetry of its scores."""

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
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload, Score, Sha256
from agent.messages.count import ShiftCountPayload
from agent.messages.promise import BrokenPromisePayload, CertificatePayload
from agent.messages.status import LatencyPayload


class ModelPayload(Payload):
    """A model."""

    name: str = Field(description="Name in the bundle's manifest.")
    sha256: Sha256 = Field(description="SHA-256 of the bundle's manifest, which identifies the bundle.")


class RulePayload(Payload):
    """k of n: a frame is anomalous where the k-th largest of the last n scores is above the threshold."""

    k: PositiveInt = Field(description="How many of the last n scores must be above the threshold.")
    n: PositiveInt = Field(description="How many scores count.")


class ProgressPayload(Payload):
    """How far the window of good frames is filled."""

    frames: NonNegativeInt = Field(description="Good frames so far.")
    wanted: PositiveInt = Field(description="Good frames wanted; may grow where they turn out to depend on each other.")


class FilesPayload(Payload):
    """Files of a folder that were not inspected, since the agent started."""

    quarantined: NonNegativeInt = Field(
        default=0, description="Files that could not be read, or do not fit the model; links out of the folder too."
    )
    overwritten: NonNegativeInt = Field(
        default=0, description="Versions of files that were overwritten before they could be read."
    )
    skipped: NonNegativeInt = Field(
        default=0, description="Files of formats that are not read, and folders below where `recursive` is not set."
    )
    latest_quarantined: str | None = Field(
        default=None, description="The latest file in quarantine and the reason, in words."
    )


class TransportPayload(Payload):
    """Frames and packets on their way from an industrial camera, since the agent started."""

    frames_lost: NonNegativeInt = Field(
        default=0, description="Frames of which nothing arrived, or for which there was no room."
    )
    packets_resent: NonNegativeInt = Field(default=0, description="Packets that the camera sent again on request.")
    packets_missing: NonNegativeInt = Field(
        default=0, description="Packets that never arrived; their frames are counted as damaged."
    )


class PartCountsPayload(Payload):
    """The parts of a camera since the agent started."""

    ok: NonNegativeInt = Field(description="Parts whose score is not above the threshold.")
    nok: NonNegativeInt = Field(description="Parts whose score is above the threshold.")
    not_judged: NonNegativeInt = Field(description="Parts of which nothing is known.")
    waiting_triggers: NonNegativeInt | None = Field(
        default=None,
        description="Parts that were announced by a trigger and have no result yet; null where the camera has no "
        "trigger.",
    )


class StatePayload(Payload):
    """The state of inspection at one camera. Retained; the latest one counts."""

    schema_id: Literal["inspectd.state/1"] = Field(
        default="inspectd.state/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    site: str = Field(description="Name of the site.")
    camera: str = Field(description="Name of the camera.")
    at: Instant = Field(description="When this document was written.")
    phase: Phase = Field(description="armed: every frame is judged. In any other phase, no frame is.")
    product: str | None = Field(
        default=None,
        description="The product that is inspected; null where the camera has no products, and in phase no_product.",
    )
    reason: str | None = Field(
        default=None, description="Why it is in this phase, in words, where there is more to say."
    )
    threshold: Score | None = Field(default=None, description="The threshold in force; null until calibrated.")
    rule: RulePayload | None = Field(default=None, description="The alarm rule in force.")
    calibration: str | None = Field(default=None, description="Id of the calibration in force.")
    promise: str | None = Field(default=None, description="The calibration's promise about false alarms, in words.")
    model: ModelPayload | None = Field(default=None, description="The model that scores the frames.")
    engine: str | None = Field(default=None, description="Name of the engine that runs the model.")
    engine_reason: str | None = Field(default=None, description="Why this engine was chosen, in words.")
    frames: NonNegativeInt = Field(default=0, description="Frames scored since the agent started.")
    dropped: NonNegativeInt = Field(default=0, description="Frames of a live camera that were dropped for newer ones.")
    passed_by_rule: NonNegativeInt = Field(
        default=0,
        description="Frames above the threshold that raised no alarm since the agent started, because the alarm rule "
        "wants more of them.",
    )
    parts: PartCountsPayload | None = Field(
        default=None, description="The parts since the agent started; null where parts are not known."
    )
    shift_parts: ShiftCountPayload | None = Field(
        default=None, description="The parts of the current shift; null where parts are not known."
    )
    ready: bool | None = Field(
        default=None,
        description="Whether a trigger is accepted and judged now: the camera is armed, and not too many wait. Null "
        "where the camera has no trigger.",
    )
    files: FilesPayload | None = Field(
        default=None, description="Files that were not inspected; null where the source is not a folder."
    )
    damaged: NonNegativeInt = Field(
        default=0, description="Frames that arrived damaged, such as JPEG images cut off on the way; not judged."
    )
    transport: TransportPayload | None = Field(
        default=None,
        description="What was lost on the way from the camera; null where the source is no GigE Vision or USB3 Vision "
        "camera.",
    )
    left_out: NonNegativeInt = Field(
        default=0,
        description="Frames that were not judged although no alarm about the camera was active: blank, in unusual "
        "light after the camera was opened, or held back until the camera turned out to be faulty.",
    )
    without_part: NonNegativeInt | None = Field(
        default=None,
        description="Frames in which no part was found since the agent started: never judged, and in no calibration. "
        "Null where the model was trained without alignment.",
    )
    frames_per_second: NonNegativeFloat | None = Field(
        default=None, description="Frames scored per second; null where no frame has been scored lately."
    )
    latency_ms: LatencyPayload | None = Field(
        default=None,
        description="From the capture of a frame to its verdict; null where no frame has been scored lately.",
    )
    progress: ProgressPayload | None = Field(
        default=None, description="Progress of the current calibration; null where none is running."
    )
    drift: bool = Field(default=False, description="The scores of good parts have shifted: recalibrate soon.")
    shift: FiniteFloat | None = Field(
        default=None,
        description="How far they have shifted, in standard deviations of a good score; null without drift.",
    )
    alarm: str | None = Field(default=None, description="Id of the active alarm; null where none is active.")
    certificate: CertificatePayload | None = Field(
        default=None, description="What production shows about the promise; null until a frame was judged."
    )
    broken_promise: BrokenPromisePayload | None = Field(
        default=None, description="False alarms come faster than promised; null while they do not."
    )


def frame_rate_text(frames_per_second: float | None) -> str:
    """A frame rate in words.

    >>> frame_rate_text(20.0), frame_rate_text(None)
    ('20.0 frames/s', 'no frames lately')
    """
    return "no frames lately" if frames_per_second is None else f"{frames_per_second:.1f} frames/s"


class ScorePayload(Payload):
    """Telemetry: the score of one frame. QoS 0, rate limited, lost while the broker is unreachable."""

    schema_id: Literal["inspectd.score/1"] = Field(
        default="inspectd.score/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    camera: str = Field(description="Name of the camera.")
    captured_at: Instant = Field(
        description="When the frame was captured; of an image file, the time of its last change."
    )
    frame: NonNegativeInt = Field(description="Index of the frame, counted per camera since the agent started.")
    score: Score = Field(description="Latent distance of the frame.")
    statistic: Score = Field(
        description="The value compared with the threshold: the k-th largest of the last n scores."
    )
    threshold: Score | None = Field(description="The threshold in force; null until calibrated.")
