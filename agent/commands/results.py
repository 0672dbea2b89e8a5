"""The commands about parts: `results/list`, what became of the latest ones; `results/image`, the heatmap of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt

from agent.commands.command import Call
from agent.commands.view import ImageSide, image_document
from agent.core.errors import Permanent
from agent.core.records import place_of_group
from agent.messages import CommandRequest, Instant, Score
from agent.outputs import OK_HEATMAPS, PartFilter

# As for alarms: a response over MQTT has to fit the broker's packet limit.
_LISTED, _MOST_LISTED = 100, 10_000


class ResultListRequest(CommandRequest):
    """List the latest parts of a camera, or of all, newest first. The last 20,000 are kept."""

    command = "results/list"
    limit: int = Field(default=_LISTED, ge=1, le=_MOST_LISTED, strict=True, description="At most so many.")
    group: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Only joined parts of this group of cameras, instead of a camera; null: of all.",
    )
    verdict: Literal["ok", "nok", "not_judged"] | None = Field(
        default=None, description="Only parts with this verdict; null: all."
    )
    product: str | None = Field(
        default=None, min_length=1, max_length=64, description="Only those of this product; null: all."
    )
    part: str | None = Field(
        default=None, min_length=1, max_length=128, description="Only those with this text in their id or code."
    )
    since: Instant | None = Field(default=None, description="Only those that were captured at this time or later.")
    until: Instant | None = Field(default=None, description="Only those that were captured before this time.")
    score_from: Score | None = Field(default=None, description="Only those of this score or a higher one.")
    score_to: Score | None = Field(default=None, description="Only those of this score or a lower one.")
    before: NonNegativeInt | None = Field(
        default=None, description="Number of a part: only those after it in this list."
    )


def list_results(call: Call) -> dict[str, Any]:
    """The latest parts that fit. Raises Permanent for an unknown camera or group."""
    request, log = call.request, call.agent.part_log
    if log is None:
        return {"parts": []}
    where = PartFilter(
        camera=_place(call),
        verdict=request.verdict,
        product=request.product,
        part=request.part,
        since=request.since,
        until=request.until,
        score_from=request.score_from,
        score_to=request.score_to,
        before=request.before,
    )
    found = log.find(where, request.limit)
    return {"parts": [{**part, "heatmap": _heatmap_of(call, part).is_file()} for part in found]}


class ResultImageRequest(CommandRequest):
    """Return the heatmap of an ok part that was sampled (`ok_heatmap_every`), base64."""

    command = "results/image"
    result: str = Field(pattern=r"^[0-9a-f-]{36}$", description="Id of the result.")
    side: ImageSide = None


def result_image(call: Call) -> dict[str, Any]:
    """The heatmap as it was kept, or a smaller JPEG of it."""
    result = call.request.result
    found = [] if call.agent.part_log is None else call.agent.part_log.find(PartFilter(id=result), 1)
    path = _heatmap_of(call, found[0]) if found else None
    if path is None or not path.is_file():
        raise Permanent(f"result {result} has no heatmap: it was not sampled, or it was deleted to make room")
    return image_document(path, call.request.side)


def _heatmap_of(call: Call, part: dict[str, Any]) -> Path:
    """Where a copy of the heatmap of this part is, if it was sampled."""
    folder = call.agent.settings.state_directory / OK_HEATMAPS
    return folder / str(part["camera"]) / str(part["id"]) / "heatmap.png"


def _place(call: Call) -> str | None:
    group = call.request.group
    if group is None:
        return None if call.camera is None else call.line().name
    groups = call.agent.view_groups()
    if group not in groups:
        raise Permanent(
            f"group: got {ascii(group)[:80]}, wanted one of {', '.join(groups) or 'none: the settings have no groups'}"
        )
    return place_of_group(group)
