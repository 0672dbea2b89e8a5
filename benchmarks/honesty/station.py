"""The agent's own `Station`, fed with scores: images, engine and threads are left out, nothing else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, DefectAlarm
from agent.core.records import Frame
from agent.inspection import CalibrationKey, CalibrationPlan, Station
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.station import SETTLING_FRAMES
from agent.parts import ByCount
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
    stopped: bool = False
    """It waits for a person."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A camera as its settings shape it."""

    parts: bool
    """Parts are known: window, budget and rule count them."""
    frames_per_part: int = 1
    """Frames of a part, where parts are known."""
    rule: Rule = Rule(1, 1)  # noqa: RUF009 - frozen
    clear_after_seconds: float = 0.0
    training: TrainingScores | None = None
    """Scores that the bundle is known to give; None as with bundles that have none."""

    def plan(self, budget: str, window: int, *, fresh: bool = False) -> CalibrationPlan:
        """The plan for a window of so many frames, or of so many parts where they are known."""
        return CalibrationPlan(
            frames=window,
            max_frames=window,
            budget=Budget.parse(budget),
            rule=self.rule,
            confidence=0.95,
            require_certificate=False,
            clear_after_seconds=self.clear_after_seconds,
            parts_known=self.parts,
            frames_per_second=None,
            fresh=fresh,
        )


def first_window(
    setup: Setup, budget: str, scores: NDArray[np.float64], *, stop_seconds: float = 0.0, confirm_good: bool = False
) -> Window:
    """Start an agent on these scores, in order of capture [N, frames per part] or [N].

    Args:
        setup: of the camera.
        budget: in words.
        scores: of the window.
        stop_seconds: the line stops so long in the middle of the window.
        confirm_good: a person confirms every image of a window that is stopped as good.
    """
    with TemporaryDirectory() as folder:
        plan = setup.plan(budget, len(scores))
        station = _station(Path(folder), plan, setup)
        _feed(station, _after_settling(scores, setup), stop_seconds=stop_seconds)
        stopped = station.stopped_window is not None
        if stopped and confirm_good:
            station.decide((), "operator")
        return Window(station.calibration, station.reason, stopped)


def second_window(
    setup: Setup, budget: str, first: NDArray[np.float64], second: NDArray[np.float64], *, fresh: bool
) -> Window:
    """Calibrate on the first scores, then recalibrate on the second ones while the first threshold is in force."""
    with TemporaryDirectory() as folder:
        plan = setup.plan(budget, len(first))
        station = _station(Path(folder), plan, setup)
        fed = _after_settling(first, setup)
        _feed(station, fed)
        if station.stopped_window is not None:
            station.decide((), "operator")
        if station.calibration is None:
            return Window(None, station.reason)
        station.recalibrate(setup.plan(budget, len(first), fresh=fresh))
        found = _feed(station, second.ravel(), start=fed.size)
        return Window(found, station.reason, station.stopped_window is not None)


def _after_settling(scores: NDArray[np.float64], setup: Setup) -> NDArray[np.float64]:
    """The frames of a window, with those in front during which a live camera settles."""
    frames = scores.ravel()
    settling = -(-SETTLING_FRAMES // setup.frames_per_part) * setup.frames_per_part
    return np.concatenate((np.resize(frames, settling), frames))


def _station(folder: Path, plan: CalibrationPlan, setup: Setup) -> Station:
    ids = (f"id-{number}" for number in itertools.count(1))
    alarms = DefectAlarm("line1", plan.clear_after_seconds, lambda: next(ids)), CameraAlarm("line1", lambda: next(ids))
    grouping = ByCount[Any](setup.frames_per_part) if setup.parts else None
    return Station(
        _IDENTITY, plan, Store(folder), *alarms, training=setup.training, now=lambda: _NOON, grouping=grouping
    )


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
        for each in (*outcome.late, outcome):
            if each.candidate is not None:
                return each.candidate.calibration
    return None
