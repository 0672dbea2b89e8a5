"""Requests, results and the response of commands. `agent/commands/table.py` lists the commands.

A request is read strictly: one with an unknown field is rejected.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError, field_validator

from agent.core.errors import Permanent
from agent.core.records import Phase
from agent.core.roles import Role
from agent.messages.base import SCHEMA_DESCRIPTION, Instant, Payload, Score, Sha256, first_fault


class CommandRequest(BaseModel):
    """The fields of every request. A request with an unknown field is rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)
    command: ClassVar[str]
    """Name of the command; the last part of its MQTT topic."""

    schema_id: Literal["inspectd.command/1"] = Field(
        default="inspectd.command/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Returned in the response; for brokers and clients without MQTT 5 correlation data.",
    )

    @property
    def only_reads(self) -> bool:
        """Whether this request changes nothing although others of its command do."""
        return False


class StatusRequest(CommandRequest):
    """The status of the agent and its cameras."""

    command = "status"


class RecalibrateRequest(CommandRequest):
    """Fill a new window of good frames and compute a threshold from it; the old one stays in force meanwhile."""

    command = "recalibrate"
    frames: int | None = Field(
        default=None,
        ge=20,
        le=10_000_000,
        strict=True,
        description="Length of the window, frames; null: as in the settings.",
    )
    false_alarms: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Budget of false alarms, in words; null: as in the settings.",
        examples=["1 per shift"],
    )
    dry_run: bool = Field(
        default=False, strict=True, description="Keep the result, but leave the current threshold in force."
    )
    fresh: bool = Field(
        default=False,
        strict=True,
        description="Take every image, also those that raise an alarm under the threshold in force.",
    )
    cancel: bool = Field(default=False, strict=True, description="Cancel the recalibration that is running.")


class RollbackRequest(CommandRequest):
    """Put an earlier calibration in force again."""

    command = "calibration/rollback"
    to: str | None = Field(
        default=None, min_length=1, max_length=200, description="Id of the calibration; null: the previous one."
    )


class CalibrationListRequest(CommandRequest):
    """List the calibrations of a camera, and which one is in force."""

    command = "calibration/list"


class CalibrationShowRequest(CommandRequest):
    """Show one calibration."""

    command = "calibration/show"
    of: str | None = Field(
        default=None, min_length=1, max_length=200, description="Id of the calibration; null: the one in force."
    )


class InspectRequest(CommandRequest):
    """Judge the next frames of a triggered camera as this part; its result is published on `result`."""

    command = "inspect"
    part: str = Field(min_length=1, max_length=128, description="Id of the part, such as its serial number.")

    @field_validator("part")
    @classmethod
    def _printable(cls, part: str) -> str:
        if not part.isprintable():
            raise ValueError("wanted printable characters only")
        return part


class PauseRequest(CommandRequest):
    """Stop judging frames; active alarms are cleared with the reason `paused`."""

    command = "pause"


class ResumeRequest(CommandRequest):
    """Judge frames again."""

    command = "resume"


class SnapshotRequest(CommandRequest):
    """Return the latest frame with its score and heatmap."""

    command = "snapshot"
    inline: bool = Field(
        default=False,
        strict=True,
        description="Return the images in the response itself, base64, instead of on topics.",
    )


class ReloadRequest(CommandRequest):
    """Read the settings again and apply those that can change while the agent runs."""

    command = "reload"


class SnapshotImage(Payload):
    """An image of a snapshot: published on a topic, or contained here."""

    topic: str | None = Field(
        default=None, description="Topic on which it is published, retained; null where it is contained here."
    )
    sha256: Sha256 = Field(description="SHA-256 of the image.")
    media_type: str = Field(examples=["image/jpeg"], description="`image/png` or `image/jpeg`.")
    bytes: NonNegativeInt = Field(description="Size, bytes.")
    scale: float = Field(default=1.0, description="Below 1.0 where it was shrunk for the broker's packet limit.")
    base64: str | None = Field(default=None, description="The image, where the request asked for `inline`.")


class SnapshotResult(Payload):
    """The result of `snapshot`: the latest frame of a camera and its score."""

    camera: str = Field(description="Name of the camera.")
    captured_at: Instant = Field(
        description="When the frame was captured; of an image file, the time of its last change."
    )
    age_seconds: NonNegativeFloat = Field(
        description="How long ago that was; large where the camera delivers no frames."
    )
    frame: NonNegativeInt = Field(description="Index of the frame, counted per camera since the agent started.")
    origin: str | None = Field(default=None, description="Name of the file that the frame was read from.")
    phase: Phase = Field(description="As in `state`.")
    reason: str | None = Field(default=None, description="As in `state`.")
    score: Score = Field(description="Latent distance of this frame.")
    statistic: Score | None = Field(
        default=None, description="The value compared with the threshold; null where the frame was not judged."
    )
    threshold: Score | None = Field(default=None, description="The threshold in force; null until calibrated.")
    calibration: str | None = Field(default=None, description="Id of the calibration in force.")
    heat: Literal["calibration", "reference"] = Field(
        description="The meaning of 1.0 in the heatmap. calibration: the highest value that good parts reach at that "
        "place. reference: there is no calibration yet, and 1.0 is the highest value in the bundle's reference frames."
    )
    pictures: dict[str, SnapshotImage] = Field(
        default_factory=dict, description="The images, by name: heatmap, overlay, frame."
    )
    left_out: list[str] = Field(
        default_factory=list, description="A line for each image above the broker's packet limit."
    )


class ReloadResult(Payload):
    """The result of `reload`: the settings that have changed, by when they apply."""

    changed: list[str] = Field(description="Apply now.", examples=[["cameras.line1.bundle"]])
    at_next_calibration: list[str] = Field(
        description="Apply from the next calibration on; the current threshold was computed with the old ones.",
        examples=[["cameras.line1.calibration.false_alarms"]],
    )
    needs_restart: list[str] = Field(description="Apply only after a restart of the agent.", examples=[["mqtt.url"]])


# The largest request, filled to its limits, is under 1 kB; anything far beyond is not a request.
MAX_COMMAND_BYTES = 16_384


class CommandResponse(Payload):
    """The response to a command; every command gets one."""

    schema_id: Literal["inspectd.response/1"] = Field(
        default="inspectd.response/1", alias="schema", description=SCHEMA_DESCRIPTION
    )
    command: str = Field(description="Name of the command.")
    site: str = Field(description="Name of the site.")
    camera: str | None = Field(default=None, description="Name of the camera, where the request named one.")
    id: str | None = Field(default=None, description="The id of the request, where it had one.")
    at: Instant = Field(description="When the response was written.")
    ok: bool = Field(description="Whether the command was carried out.")
    error: str | None = Field(
        default=None,
        description="The error, one line; nothing was changed in that case, except after an unknown `product`: then no "
        "part is judged.",
    )
    result: dict[str, Any] = Field(default_factory=dict, description="The result, as the command defines it.")


class Execute(Protocol):
    """Carries out a command from any sender, over any transport, and always returns a response."""

    def __call__(
        self, name: str, camera: str | None, payload: bytes, *, by: str, role: Role = Role.ENGINEER
    ) -> CommandResponse:
        """`payload` is the request as JSON, `by` names the sender for the records, `role` is what it may do."""
        ...


def parse_request(model: type[CommandRequest], payload: bytes) -> CommandRequest:
    """Validate the request of a command; an empty payload stands for the defaults.

    Raises Permanent with one line where the payload is too large or does not fit the model.
    """
    name = model.command
    if len(payload) > MAX_COMMAND_BYTES:
        raise Permanent(f"command {name}: got {len(payload)} bytes, wanted {MAX_COMMAND_BYTES} at most")
    try:
        return model.model_validate_json(payload if payload.strip() else b"{}")
    except ValidationError as error:
        raise Permanent(f"command {name}: {first_fault(error)}") from None
