"""The agent's own `Station`, fed with scores: images, engine and threads are left out, nothing else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, DefectAlarm
from agent.core.records import Frame
from agent.inspection import CalibrationKey, CalibrationPlan, Station
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.station import SETTLING_FRAMES
from calibration import Budget, Calibration, Rule, Store, TrainingScores, glance

FRAMES_PER_SECOND = 20.0
_NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
_IDENTITY = CalibrationKey("line1", "a" * 64, "onnxruntime")

# A few images in turn: each differs from the one before, so the camera is not taken for frozen.
_IMAGES = [np.random.default_rng(i).integers(90, 160, (32, 32, 1)).astype(np.uint8) for i in range(16)]
_GLANCES = [glance(image) for image in _IMAGES]
_HEAT = np.full((8, 8), 0.5, np.float32)


@dataclass(frozen=True, slots=True)
class Window:
    """A window as the agent took it, or why it did not."""

    calibration: Calibration | None
    reason: str | None
    """Why there is no calibration, or none certified."""


def plan_for(
    budget: str, frames: int, *, parts: bool, frames_per_part: float = 1.0, fresh: bool = False
) -> CalibrationPlan:
    """Return the plan of a camera; `parts`: each frame is another part, as in a folder."""
    return CalibrationPlan(
        frames=frames,
        max_frames=frames,
        budget=Budget.parse(budget, frames_per_part=frames_per_part),
        rule=Rule(1, 1),
        confidence=0.95,
        require_certificate=False,
        clear_after_seconds=0.0,
        parts_known=parts,
        frames_per_second=None,
        fresh=fresh,
    )


def first_window(
    plan: CalibrationPlan,
    scores: NDArray[np.float64],
    *,
    training: TrainingScores | None = None,
    stop_seconds: float = 0.0,
) -> Window:
    """Start an agent on these scores. With `stop_seconds` the line stops so long in the middle of the window."""
    with TemporaryDirectory() as folder:
        station = _station(Path(folder), plan, training)
        _feed(station, np.concatenate((scores[:SETTLING_FRAMES], scores)), stop_seconds=stop_seconds)
        return Window(station.calibration, station.reason)


def second_window(
    plan: CalibrationPlan, first: NDArray[np.float64], second: NDArray[np.float64], *, fresh: bool
) -> Window:
    """Calibrate on the first scores, then recalibrate on the second ones while the first threshold is in force."""
    with TemporaryDirectory() as folder:
        station = _station(Path(folder), plan, None)
        _feed(station, np.concatenate((first[:SETTLING_FRAMES], first)))
        asked = plan_for(str(plan.budget), plan.frames, parts=plan.parts_known, fresh=fresh)
        station.recalibrate(asked)
        found = _feed(station, second, start=SETTLING_FRAMES + first.size)
        return Window(found, station.reason)


def _station(folder: Path, plan: CalibrationPlan, training: TrainingScores | None) -> Station:
    ids = (f"id-{number}" for number in itertools.count(1))
    alarms = DefectAlarm("line1", 0.0, lambda: next(ids)), CameraAlarm("line1", lambda: next(ids))
    return Station(_IDENTITY, plan, Store(folder), *alarms, training=training, now=lambda: _NOON)


def _feed(
    station: Station, scores: NDArray[np.float64], *, start: int = 0, stop_seconds: float = 0.0
) -> Calibration | None:
    """Judge frames until a window is complete, and return its calibration; None where none is."""
    for place, score in enumerate(scores):
        index = start + place
        seconds = index / FRAMES_PER_SECOND + (stop_seconds if place > scores.size / 2 else 0.0)
        image = _IMAGES[index % 16]
        frame = Frame("line1", index, _NOON + timedelta(seconds=seconds), 1_000.0 + seconds, image)
        heat = _HEAT * (1 + 0.1 * (index % 7))
        outcome = station.judge(PreparedFrame(frame, image, _GLANCES[index % 16]), float(score), heat)
        if outcome.candidate is not None:
            return outcome.candidate.calibration
    return None
