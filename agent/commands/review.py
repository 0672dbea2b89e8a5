"""The command `calibration/review`: look at the hottest images of a window, and throw out bad parts."""

from __future__ import annotations

import base64
import logging
from typing import Any

from pydantic import Field, NonNegativeInt, model_validator

from agent.commands.command import Call
from agent.core.errors import Permanent
from agent.inspection import CameraLine, WindowToReview
from agent.messages import CommandRequest, Payload, Score
from calibration import Calibration

log = logging.getLogger(__name__)


class ReviewRequest(CommandRequest):
    """Show the hottest images of the window that was stopped, or of the one in force, or decide about them."""

    command = "calibration/review"
    confirm_good: bool = Field(
        default=False,
        strict=True,
        description="All images show good parts and the model is right for this camera: put the window in force, or "
        "keep it in force.",
    )
    throw_out: bool = Field(
        default=False,
        strict=True,
        description="The suspects show bad parts: put the window in force without them. Where it does not fit as a "
        "whole, or has too many suspects, it is discarded and a new one is filled. Of the window in force, only those "
        "of `only` are thrown out.",
    )
    only: list[int] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="With `throw_out`: only the suspects with these numbers are bad; all other images are good.",
    )
    inline: bool = Field(default=False, strict=True, description="Return the images too, base64.")

    @property
    def only_reads(self) -> bool:
        """Without a decision, the window is only shown."""
        return not (self.confirm_good or self.throw_out)

    @model_validator(mode="after")
    def _one_decision(self) -> ReviewRequest:
        if self.confirm_good and self.throw_out:
            raise ValueError("got confirm_good and throw_out, wanted one of them")
        if self.only is not None and not self.throw_out:
            raise ValueError("only: wanted together with throw_out")
        return self


class SuspectPayload(Payload):
    """An image of a window that may show a bad part."""

    number: int = Field(description="From 1, highest score first; for `only`.")
    score: Score = Field(description="Its score.")
    frame: NonNegativeInt = Field(description="Index of the frame, counted per camera since the agent started.")
    origin: str | None = Field(default=None, description="Name of the file that it was read from.")
    base64: str | None = Field(default=None, description="The image, JPEG, where the request asked for `inline`.")


class ReviewResult(Payload):
    """The result of `calibration/review`."""

    reason: str | None = Field(
        default=None, description="Why the window was stopped, or why to look at it; null once it is decided."
    )
    in_force: bool = Field(default=False, description="The threshold of the window is in force already.")
    frames: NonNegativeInt = Field(default=0, description="Images of the window.")
    suspected: NonNegativeInt = Field(
        default=0,
        description="Images that may show bad parts; 0 where the window does not fit as a whole, or is in force.",
    )
    suspects: list[SuspectPayload] = Field(default_factory=list, description="The hottest images, 24 at most.")
    calibration: str | None = Field(
        default=None, description="Id of the calibration that was put in force; null where the window was discarded."
    )
    threshold: Score | None = Field(default=None, description="Its threshold.")
    promise: str | None = Field(default=None, description="Its promise.")


def review(call: Call) -> dict[str, Any]:
    """Show the window; with `confirm_good` or `throw_out`, decide about it."""
    line, request = call.line(), call.request
    if not (request.confirm_good or request.throw_out):
        return _shown(_window(line), inline=request.inline).model_dump(mode="json")
    only = [] if request.confirm_good else request.only
    calibration = line.call(lambda: line.station.decide(only, call.by))
    _log_decision(line.name, calibration, confirmed=request.confirm_good, by=call.by)
    return _decided(calibration).model_dump(mode="json")


def _window(line: CameraLine) -> WindowToReview:
    window = line.station.window_to_review
    if window is None:
        raise Permanent(f"camera {line.name} has no window to review")
    return window


def _shown(window: WindowToReview, *, inline: bool) -> ReviewResult:
    return ReviewResult(
        reason=window.reason,
        in_force=window.calibration is not None,
        frames=window.window.count,
        suspected=window.suspected,
        suspects=[
            SuspectPayload(
                number=suspect.number,
                score=suspect.image.score,
                frame=suspect.image.frame,
                origin=suspect.image.origin,
                base64=base64.b64encode(suspect.image.jpeg).decode() if inline else None,
            )
            for suspect in window.suspects
        ],
    )


def _decided(calibration: Calibration | None) -> ReviewResult:
    if calibration is None:
        return ReviewResult()
    return ReviewResult(
        frames=calibration.scores.size,
        calibration=calibration.id,
        threshold=calibration.threshold.value,
        promise=calibration.promise,
    )


def _log_decision(camera: str, calibration: Calibration | None, *, confirmed: bool, by: str) -> None:
    if calibration is None:
        log.info("camera %s: window discarded by %s", camera, by, extra={"camera": camera, "by": by})
        return
    decision = "confirmed as good" if confirmed else f"taken without {len(calibration.left_out)} images"
    fields = {"camera": camera, "by": by, "calibration": calibration.id}
    log.info("camera %s: window %s by %s: %s", camera, decision, by, calibration.promise, extra=fields)
