"""The command `bundle/take`: a trained model in place of the camera's bundle, or the earlier one again."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.commands.command import Call
from agent.core.errors import Permanent
from agent.core.records import Phase
from agent.messages import CommandRequest, ModelPayload, Payload


class BundleTakeRequest(CommandRequest):
    """Inspect with the model that was trained from the page; it replaces the camera's bundle, which is kept as the
    previous one. Cameras with the same bundle take it over too."""

    command = "bundle/take"
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the trained bundle's manifest; null only with `previous`.",
    )
    previous: bool = Field(default=False, strict=True, description="Put the previous bundle back instead.")


class BundleTakeResult(Payload):
    """The result of `bundle/take`."""

    camera: str = Field(description="Name of the camera.")
    model: ModelPayload = Field(description="The model in force.")
    phase: Phase = Field(description="As in `state`: `calibrating` until the model has a threshold.")


def take_bundle(call: Call) -> dict[str, Any]:
    """Replace the bundle and load it; where that fails, the earlier one stays in force."""
    line, request = call.line(), call.request
    if (request.sha256 is None) != request.previous:
        raise Permanent("wanted either the sha256 of the trained bundle, or previous")
    call.agent.take_bundle(line, request.sha256)
    result = BundleTakeResult(camera=line.name, model=line.model, phase=line.station.phase)
    return result.model_dump(mode="json")
