"""The commands about calibrations: `recalibrate`, `calibration/list`, `calibration/show`, `calibration/rollback`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.commands.command import Call
from agent.core.errors import Permanent
from agent.inspection import CalibrationPlan, CameraLine
from agent.messages import utc_text
from agent.review import ScoreBasis
from calibration import Calibration, Rule


def recalibrate(call: Call) -> dict[str, Any]:
    """Begin to fill a new window, or cancel the recalibration in progress."""
    line = call.line()
    if call.request.cancel:
        line.call(line.station.cancel)
        return {"cancelled": True}
    plan = _requested_plan(line, call)
    line.recalibrate(plan)
    return {"frames": plan.frames, "budget": str(plan.budget), "dry_run": plan.dry_run}


def list_calibrations(call: Call) -> dict[str, Any]:
    """Every calibration of a camera, oldest first, and the id of the one in force."""
    station = call.line().station
    active, store = station.calibration, station.store
    return {
        "active": None if active is None else active.id,
        "calibrations": [summary(store.load(id)) for id in store.list()],
    }


def show_calibration(call: Call) -> dict[str, Any]:
    """One calibration: its summary, and the path of the file with all of it."""
    line = call.line()
    calibration = _find_calibration(line, call.request.of)
    return {
        **summary(calibration),
        "file": str(line.station.store.directory / f"{calibration.id}.json"),
        **_recall(call, line, calibration),
    }


def recall_of(call: Call, line: CameraLine) -> dict[str, int]:
    """How many confirmed defects the threshold in force finds; empty where no defect was confirmed."""
    calibration = line.station.calibration
    found = {} if calibration is None else _recall(call, line, calibration)
    return found if found.get("confirmed_defects") else {}


def _recall(call: Call, line: CameraLine, calibration: Calibration) -> dict[str, int]:
    basis = ScoreBasis(calibration.bundle_sha256, calibration.engine, str(calibration.rule))
    return call.agent.review.judged_scores(line.name, basis).recall(calibration.threshold.value)


def roll_back(call: Call) -> dict[str, Any]:
    """Put an earlier calibration in force: the one named, else the previous one."""
    line = call.line()
    return summary(line.call(lambda: line.station.roll_back(call.request.to, call.by)))


def summary(calibration: Calibration) -> dict[str, Any]:
    """The fields of a calibration that a person reads."""
    threshold = calibration.threshold
    return {
        "id": calibration.id,
        "created_at": utc_text(calibration.created_at),
        "by": calibration.who,
        "threshold": threshold.value,
        "rule": str(calibration.rule),
        "budget": str(calibration.budget),
        "method": threshold.method,
        "certified": threshold.certified,
        "effective_sample_size": threshold.effective_sample_size,
        "promise": calibration.promise,
        "frames": int(calibration.scores.size),
        "first_frame": calibration.first_frame,
        "last_frame": calibration.last_frame,
        "left_out": len(calibration.left_out),
        "engine": calibration.engine,
        "bundle": calibration.bundle_sha256,
    }


def _requested_plan(line: CameraLine, call: Call) -> CalibrationPlan:
    """The plan of the settings, with what the request changes."""
    plan, request = line.station.plan, call.request
    frames = request.frames or plan.frames
    budget = line.settings.parse_budget(request.false_alarms) if request.false_alarms else plan.budget
    return replace(
        plan,
        frames=frames,
        max_frames=max(plan.max_frames, frames),
        budget=budget,
        by=call.by,
        dry_run=request.dry_run,
        fresh=request.fresh,
        false_alarms=call.agent.review.judged_scores(line.name, _basis(line, plan.rule)).false_alarm_level(budget),
    )


def _basis(line: CameraLine, rule: Rule) -> ScoreBasis:
    return ScoreBasis(line.model.sha256, line.engine.name, str(rule))


def _find_calibration(line: CameraLine, identity: str | None) -> Calibration:
    if identity is not None:
        return line.station.store.load(identity)
    if line.station.calibration is None:
        raise Permanent(f"camera {line.name} is not calibrated yet; wanted the id of a calibration")
    return line.station.calibration
