"""The command `scores`: the latest scores of every camera for a chart, and the last verdict; or scores of the past."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pydantic import Field

from agent.commands.command import Call
from agent.core.errors import Temporary
from agent.core.records import Part
from agent.inspection import CameraLine
from agent.messages import CommandRequest, utc_text
from calibration import ScoreLog

# A chart is rarely wider, in pixels.
_MOST_POINTS = 1500


class ScoresRequest(CommandRequest):
    """Return the latest scores for a chart, and the verdict on the last part; or the scores around a time."""

    command = "scores"
    since: float | None = Field(
        default=None, ge=0.0, description="Only points from this time on, Unix seconds; null: all that are in memory."
    )
    at: float | None = Field(
        default=None, ge=0.0, description="Instead, the scores on disk around this time, Unix seconds."
    )
    seconds: float = Field(default=60.0, gt=0.0, le=3600.0, description="With `at`: so long before and after it.")


def read_scores(call: Call) -> dict[str, Any]:
    """Points [time, highest score, highest statistic, frames, frames above the threshold], oldest first."""
    request = call.request
    lines = call.agent.lines.values() if call.camera is None else [call.line()]
    if request.at is not None:
        return {"cameras": {line.name: {"points": _stored(line, request.at, request.seconds)} for line in lines}}
    return {"now": time.time(), "cameras": {line.name: _latest(line, request.since) for line in lines}}


def _latest(line: CameraLine, since: float | None) -> dict[str, Any]:
    calibration, part = line.station.calibration, line.recent.part
    return {
        "threshold": None if calibration is None else calibration.threshold.value,
        "alarm": line.station.active_alarm_id,
        "part": None if part is None else part_document(part),
        "points": line.recent.points(since),
    }


def part_document(part: Part) -> dict[str, Any]:
    """A part as `scores` and `recent` return it."""
    return {
        "part": part.part,
        "verdict": part.verdict.value,
        "reason": None if part.reason is None else part.reason.value,
        "score": part.score,
        "threshold": part.threshold,
        "captured_at": utc_text(part.captured_at),
        "alarm": part.alarm,
    }


def _stored(line: CameraLine, at: float, seconds: float) -> list[list[float]]:
    """The scores on disk, joined to `_MOST_POINTS` points at most; the highest of each group counts."""
    try:
        found = ScoreLog(line.score_log.directory).read(since=at - seconds)
    except OSError as error:
        raise Temporary(f"{line.score_log.directory}: {error.strerror}") from None
    found = found[found["time"] <= at + seconds]
    if not found.size:
        return []
    edges = np.unique(np.linspace(0, found.size, min(found.size, _MOST_POINTS), endpoint=False).astype(int))
    highest = np.maximum.reduceat(found["score"], edges)
    statistic = np.maximum.reduceat(found["statistic"], edges)
    counts = np.diff(np.append(edges, found.size))
    rows = zip(found["time"][edges], highest, statistic, counts, strict=True)
    return [[round(float(t), 3), float(s), float(k), int(n), 0] for t, s, k, n in rows]
