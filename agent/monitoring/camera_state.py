"""The state of a camera, for the command `status` and for the outputs."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import datetime
from typing import Any

from agent.core.records import PartVerdict, Phase
from agent.inspection import CameraLine, CameraState, CameraStatus, Station
from agent.messages import (
    FilesPayload,
    LatencyPayload,
    PartCountsPayload,
    ProgressPayload,
    RulePayload,
    ShiftCountPayload,
    StatePayload,
    TransportPayload,
)
from agent.monitoring.count_publisher import shift_payload
from agent.monitoring.promise_state import broken_promise_payload, certificate_payload
from agent.outputs import PartCounts
from agent.review import PromiseStatus


def phase_of(station: Station, camera: CameraStatus) -> Phase:
    """The phase of a camera: a camera without frames counts before anything that the station does."""
    if camera.state in (CameraState.LOST, CameraState.FAILED):
        return Phase.CAMERA_LOST
    if camera.state is CameraState.ENDED:
        return Phase.STOPPED
    return station.phase


def waiting_reason(line: CameraLine) -> str | None:
    """Why the window of a folder is not complete, or why none of its images is inspected; None otherwise."""
    progress, files, waiting = line.station.progress, line.capture.files, line.capture.waiting
    if files is None or waiting is None or line.frames.busy:
        return None
    if files.quarantined > 0 and line.counters.frames == 0:
        return f"no image could be inspected, {files.quarantined} are in quarantine, such as {files.latest_quarantined}"
    if progress is None:
        return None
    return f"{progress.frames} of {progress.target} good images so far, and {waiting}"


def _reason(line: CameraLine) -> str | None:
    """Why the camera is in its phase, or what is wrong though it inspects; None where there is nothing to say."""
    station = line.station
    known = line.capture.status.reason or station.blind_reason or station.missing_reason
    return known or waiting_reason(line) or station.reason


def _files(line: CameraLine) -> FilesPayload | None:
    counts = line.capture.files
    return None if counts is None else FilesPayload(**asdict(counts))


def _transport(line: CameraLine) -> TransportPayload | None:
    counts = line.capture.transport
    return None if counts is None else TransportPayload(**asdict(counts))


def _parts(line: CameraLine) -> PartCountsPayload | None:
    if not line.settings.parts_known:
        return None
    counted = line.counters.parts
    return PartCountsPayload(
        ok=counted[PartVerdict.OK],
        nok=counted[PartVerdict.NOK],
        not_judged=counted[PartVerdict.NOT_JUDGED],
        waiting_triggers=line.station.waiting_triggers,
    )


def _shift_parts(line: CameraLine, counts: PartCounts | None, at: datetime) -> ShiftCountPayload | None:
    if counts is None or not line.settings.parts_known:
        return None
    return shift_payload(counts.shift(line.name, at))


def _ready(line: CameraLine) -> bool | None:
    """Whether the next trigger is judged; None where parts are not triggered."""
    ready = line.station.ready
    return None if ready is None else ready and phase_of(line.station, line.capture.status) is Phase.ARMED


def _calibrated(station: Station) -> dict[str, Any]:
    """The calibration in force, the one in progress, and what has moved away from it."""
    calibration, progress = station.calibration, station.progress
    rule = station.plan.rule if calibration is None else calibration.rule
    return {
        "threshold": None if calibration is None else calibration.threshold.value,
        "rule": RulePayload(k=rule.k, n=rule.n),
        "calibration": None if calibration is None else calibration.id,
        "promise": None if calibration is None else calibration.promise,
        "progress": None if progress is None else ProgressPayload(frames=progress.frames, wanted=progress.target),
        "drift": station.drifted,
        "shift": round(station.drift_shift, 3) if station.drifted else None,
    }


def _counted(line: CameraLine) -> dict[str, Any]:
    """Frames since the start of the agent: judged, and those that were not."""
    return {
        "frames": line.counters.frames,
        "dropped": line.dropped,
        "passed_by_rule": line.counters.passed_by_rule,
        "damaged": line.capture.damaged,
        "left_out": line.station.left_out,
        "without_part": line.counters.without_part if line.aligned else None,
    }


def _measured(line: CameraLine) -> dict[str, Any]:
    """Rate and latency; null while no frames arrive."""
    lost = phase_of(line.station, line.capture.status) is Phase.CAMERA_LOST
    rate = None if lost else line.station.rate_at(time.monotonic())
    return {
        "frames_per_second": None if rate is None else round(rate, 2),
        "latency_ms": None if rate is None else LatencyPayload.of(line.counters.verdict_durations),
    }


def state_payload(
    site: str,
    line: CameraLine,
    at: datetime,
    promise: PromiseStatus | None = None,
    counts: PartCounts | None = None,
) -> StatePayload:
    """The state document of one camera.

    Args:
        site: name of the site.
        line: the camera.
        at: now, UTC.
        promise: the state of its promise in production.
        counts: has the numbers of its parts; None where no camera has parts.
    """
    station = line.station
    return StatePayload(
        site=site,
        camera=line.name,
        at=at,
        phase=phase_of(station, line.capture.status),
        product=line.product,
        reason=_reason(line),
        model=line.model,
        engine=line.engine.name,
        engine_reason=line.engine.reason,
        ready=_ready(line),
        **_calibrated(station),
        **_counted(line),
        **_measured(line),
        parts=_parts(line),
        shift_parts=_shift_parts(line, counts, at),
        files=_files(line),
        transport=_transport(line),
        alarm=station.active_alarm_id,
        certificate=None if promise is None else certificate_payload(promise),
        broken_promise=None if promise is None else broken_promise_payload(promise),
    )
