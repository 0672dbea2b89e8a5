"""What may be commanded, over MQTT or the control door, and what is answered: pydantic models, as in `payloads`.

What the agent takes, it takes exactly: an unknown field in a command is refused.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, ValidationError

from agent.core.errors import Permanent
from agent.core.records import Phase
from agent.messages.base import Instant, Payload, Score, Sha256, first_fault, shown


class CommandRequest(BaseModel):
    """What every command may carry; its name is the end of the topic. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)
    command: ClassVar[str]

    schema_id: Literal["inspectd.command/1"] = Field(default="inspectd.command/1", alias="schema")
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Comes back in the answer; for brokers and clients without MQTT 5 correlation data.",
    )


class StatusRequest(CommandRequest):
    """What the agent and its cameras are doing."""

    command = "status"


class RecalibrateRequest(CommandRequest):
    """Fill a new window of good frames and take its threshold; the old one stays in force meanwhile."""

    command = "recalibrate"
    frames: int | None = Field(
        default=None, ge=20, le=10_000_000, strict=True, description="Window length; null: as set."
    )
    false_alarms: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Budget in words; null: as set.",
        examples=["1 per shift"],
    )
    dry_run: bool = Field(default=False, strict=True, description="Stop at the preview.")
    cancel: bool = Field(default=False, strict=True, description="Give up the recalibration under way.")


class RollbackRequest(CommandRequest):
    """Go back to an earlier calibration."""

    command = "calibration/rollback"
    to: str | None = Field(default=None, min_length=1, max_length=200, description="Its id; null: the one before.")


class CalibrationListRequest(CommandRequest):
    """Every calibration of the camera, and which one is in force."""

    command = "calibration/list"


class CalibrationShowRequest(CommandRequest):
    """One calibration, whole."""

    command = "calibration/show"
    of: str | None = Field(default=None, min_length=1, max_length=200, description="Its id; null: the one in force.")


class PauseRequest(CommandRequest):
    """Stop inspecting; alarms that stand are cleared, with the reason `paused`."""

    command = "pause"


class ResumeRequest(CommandRequest):
    """Inspect again."""

    command = "resume"


class SnapshotRequest(CommandRequest):
    """The latest frame with its score and heatmap, now."""

    command = "snapshot"
    inline: bool = Field(
        default=False,
        strict=True,
        description="Pictures in the answer itself, base64, instead of on the topics that it names.",
    )


class ReloadRequest(CommandRequest):
    """Read the settings again, and take over those that can change live."""

    command = "reload"


REQUESTS: dict[str, type[CommandRequest]] = {
    request.command: request
    for request in (
        StatusRequest,
        RecalibrateRequest,
        CalibrationListRequest,
        CalibrationShowRequest,
        RollbackRequest,
        PauseRequest,
        ResumeRequest,
        SnapshotRequest,
        ReloadRequest,
    )
}


class SnapshotPicture(Payload):
    """A picture of a snapshot: on a topic, or here."""

    topic: str | None = Field(default=None, description="Where it is published, retained; null where it is here.")
    sha256: Sha256
    media_type: str = Field(examples=["image/jpeg"])
    bytes: NonNegativeInt
    scale: float = Field(default=1.0, description="Below 1.0 where it was made smaller for the broker's packet limit.")
    base64: str | None = Field(default=None, description="The picture, where the request said `inline`.")


class SnapshotResult(Payload):
    """What a camera saw last, and what the model made of it: the result of `snapshot`."""

    camera: str
    captured_at: Instant
    age_seconds: NonNegativeFloat = Field(description="How long ago that was: large where no frames come any more.")
    frame: NonNegativeInt = Field(description="Its index: frames of this camera since the agent started.")
    origin: str | None = Field(default=None, description="Name of the file it came from.")
    phase: Phase = Field(description="As in `state`.")
    reason: str | None = Field(default=None, description="As in `state`.")
    score: Score = Field(description="Latent distance of this frame.")
    statistic: Score | None = Field(
        default=None, description="What is compared with the threshold; null while nothing is judged."
    )
    threshold: Score | None = Field(default=None, description="Null until calibrated.")
    calibration: str | None = Field(default=None, description="Id of the calibration in force.")
    heat: Literal["calibration", "reference"] = Field(
        description="What 1.0 in the heatmap is: as hot as good parts ever get at that place, by the calibration; or, "
        "before there is one, the hottest spot of the bundle's good reference frames."
    )
    pictures: dict[str, SnapshotPicture] = Field(default_factory=dict, description="By name: heatmap, overlay, frame.")
    left_out: list[str] = Field(default_factory=list, description="Pictures that the broker has no room for.")


class ReloadResult(Payload):
    """What became of the settings that differ from those that the agent runs with: the result of `reload`."""

    changed: list[str] = Field(description="In force now.", examples=[["log.level"]])
    at_next_calibration: list[str] = Field(
        description="In force from the next calibration on; the threshold in force was made for the old ones.",
        examples=[["cameras.line1.calibration.false_alarms"]],
    )
    needs_restart: list[str] = Field(
        description="Not taken over: the agent has to be restarted for them.", examples=[["cameras.line1.bundle"]]
    )


# Results of commands that are more than a few words, by command.
RESULTS: dict[str, type[Payload]] = {"snapshot": SnapshotResult, "reload": ReloadResult}

# The largest command of the table above, filled to its limits, is under 1 kB; anything far beyond is not a command.
MAX_COMMAND_BYTES = 16_384


class CommandResponse(Payload):
    """The answer to a command, whatever came."""

    schema_id: Literal["inspectd.response/1"] = Field(default="inspectd.response/1", alias="schema")
    command: str
    site: str
    camera: str | None = None
    id: str | None = Field(default=None, description="The id of the request, where it had one.")
    at: Instant
    ok: bool
    error: str | None = Field(default=None, description="What was wrong, one line; nothing was changed then.")
    result: dict[str, Any] = Field(default_factory=dict)


class Execute(Protocol):
    """Carries a command out and always returns a response, whoever sends it over whichever transport."""

    def __call__(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        """`payload` is the request as JSON, `by` names the sender for the records."""
        ...


def parse_request(name: str, payload: bytes) -> CommandRequest:
    """The validated request of command `name`; an empty payload asks with the defaults.

    Raises `Permanent` with one line for an unknown command and for a payload that is oversized or not the model's.
    """
    model = REQUESTS.get(name)
    if model is None:
        raise Permanent(f"unknown command {shown(name)}; known are {', '.join(sorted(REQUESTS))}")
    if len(payload) > MAX_COMMAND_BYTES:
        raise Permanent(f"command {name}: {len(payload)} bytes, at most {MAX_COMMAND_BYTES} are taken")
    try:
        return model.model_validate_json(payload if payload.strip() else b"{}")
    except ValidationError as error:
        raise Permanent(f"command {name}: {first_fault(error)}") from None
