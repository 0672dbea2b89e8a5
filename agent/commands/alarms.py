"""The commands about alarms: `alarms/list`, `alarms/show`, `alarms/judge`, `alarms/export`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agent.commands.command import Call
from agent.core.clock import utc_now
from agent.core.errors import Permanent
from agent.messages import CommandRequest, Instant, Score
from agent.review import (
    AlarmFilter,
    Judged,
    alarm_document,
    export_document,
    export_images,
    list_document,
    show_document,
)

# A response over MQTT has to fit the broker's packet limit: 100 alarms are 50 kB.
_LISTED, _MOST_LISTED = 100, 10_000

_ID = "Id of the alarm; its last or first digits suffice where no other alarm has them."


class AlarmListRequest(CommandRequest):
    """List the latest alarms, newest first, with their judgements."""

    command = "alarms/list"
    limit: int = Field(default=_LISTED, ge=1, le=_MOST_LISTED, strict=True, description="At most so many.")
    verdict: Literal["true", "false", "unjudged"] | None = Field(
        default=None, description="Only those that were judged so, or that nobody has judged; null: all."
    )
    kind: Literal["defect", "camera"] | None = Field(default=None, description="Only alarms of this kind; null: all.")
    product: str | None = Field(
        default=None, min_length=1, max_length=64, description="Only those of this product; null: all."
    )
    since: Instant | None = Field(default=None, description="Only those that were raised at this time or later.")
    until: Instant | None = Field(default=None, description="Only those that were raised before this time.")
    score_from: Score | None = Field(default=None, description="Only those of this score or a higher one.")
    score_to: Score | None = Field(default=None, description="Only those of this score or a lower one.")
    before: str | None = Field(
        default=None, min_length=1, max_length=64, description="Id of an alarm: only those after it in this list."
    )
    after: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Id of an alarm: only those before it in this list, the ones next to it.",
    )


class AlarmShowRequest(CommandRequest):
    """Show one alarm with all its judgements and the paths of its images."""

    command = "alarms/show"
    alarm: str = Field(min_length=1, max_length=64, description=_ID)


class AlarmJudgeRequest(CommandRequest):
    """Judge an alarm, or change its judgement; earlier ones are kept. Publishes `verdict`."""

    command = "alarms/judge"
    alarm: str = Field(min_length=1, max_length=64, description=_ID)
    verdict: Literal["true", "false"] = Field(
        description="true: the part was bad, or the camera faulty. false: a false alarm."
    )
    by: str | None = Field(
        default=None, min_length=1, max_length=100, description="Name of the person; null: the sender of the command."
    )
    note: str | None = Field(default=None, min_length=1, max_length=1000, description="A remark.")
    kind: str | None = Field(
        default=None, min_length=1, max_length=100, description="Kind of the defect.", examples=["scratch"]
    )


class AlarmExportRequest(CommandRequest):
    """Write the images of judged alarms, and the samples, to a folder on the device, as `good` and `bad`."""

    command = "alarms/export"
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the folder, below `review/exports` in the state directory; null: the time.",
    )
    samples: bool = Field(default=True, strict=True, description="With the sample of frames that raised no alarm.")


def list_alarms(call: Call) -> dict[str, Any]:
    """The latest alarms of a camera, or of all."""
    request, review = call.request, call.agent.review
    judged = None if request.verdict is None else request.verdict != "unjudged"
    verdict = Judged(request.verdict) if judged else None
    where = AlarmFilter(
        kind=request.kind,
        product=request.product,
        since=request.since,
        until=request.until,
        score_from=request.score_from,
        score_to=request.score_to,
        before=request.before,
        after=request.after,
    )
    return list_document(
        review.journal, camera=_camera(call), verdict=verdict, judged=judged, limit=request.limit, where=where
    )


def show_alarm(call: Call) -> dict[str, Any]:
    """One alarm."""
    review = call.agent.review
    return show_document(review.journal.find(call.request.alarm), review.folders)


def judge_alarm(call: Call) -> dict[str, Any]:
    """Judge an alarm; the judgement is on the disk when this returns, and published right after."""
    request = call.request
    judged = call.agent.review.judge(
        request.alarm,
        Judged(request.verdict),
        by=_printable("by", request.by or call.by),
        note=_printable("note", request.note),
        defect=_printable("kind", request.kind),
    )
    return alarm_document(judged)


def export_alarms(call: Call) -> dict[str, Any]:
    """Write the images to a folder of the state directory: a sender may be far from the device."""
    review, request = call.agent.review, call.request
    directory = review.folders.exports / (request.name or f"{utc_now():%Y%m%dT%H%M%S.%f}Z")
    done = export_images(review.folders, review.journal, directory, camera=_camera(call), samples=request.samples)
    return export_document(done)


def _camera(call: Call) -> str | None:
    """The camera that the command names, None for all. Raises Permanent for an unknown one."""
    return None if call.camera is None else call.line().name


def _printable(name: str, text: str | None) -> Any:
    if text is not None and not text.isprintable():
        raise Permanent(f"{name}: got {ascii(text)[:80]}, wanted one line of printable text")
    return text
