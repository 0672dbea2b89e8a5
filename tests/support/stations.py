"""Stations on real calibrations, fed with scores instead of images."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from agent.alarms.camera_alarm import CameraAlarm
from agent.alarms.defect_alarm import DefectAlarm
from agent.inspection.calibrating import WindowFile
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.groups import Evidence
from agent.inspection.outcome import Outcome
from agent.inspection.station import Station
from agent.parts.grouping import Grouping
from calibration import Budget, Rule, Store, TrainingScores
from tests.support.frames import START, prepared

PLAN = CalibrationPlan(
    frames=100,
    max_frames=100,
    budget=Budget.parse("1 per 100 frames"),
    rule=Rule(1, 1),
    confidence=0.95,
    require_certificate=False,
    clear_after_seconds=0.2,
)
IDENTITY = CalibrationKey("line1", "a" * 64, "onnxruntime")


def make(
    directory: Path,
    plan: CalibrationPlan = PLAN,
    identity: CalibrationKey = IDENTITY,
    *,
    clear_after_seconds: float = 0.2,
    grouping: Grouping[Evidence] | None = None,
    training: TrainingScores | None = None,
    window_file: WindowFile | None = None,
) -> Station:
    """A station that keeps its calibrations in `directory`; `training` are the scores that its bundle knows."""
    ids = itertools.count(1)
    defect_alarm = DefectAlarm("line1", clear_after_seconds, lambda: f"id-{next(ids)}")
    camera_alarm = CameraAlarm("line1", lambda: f"id-{next(ids)}")
    store = Store(directory)
    return Station(
        identity,
        plan,
        store,
        defect_alarm,
        camera_alarm,
        training=training,
        now=lambda: START,
        grouping=grouping,
        window_file=window_file,
    )


def feed(station: Station, count: int, first: int = 0, seed: int = 0) -> list[Outcome]:
    """Judge good frames, whose scores are gamma distributed."""
    chance = np.random.default_rng(seed)
    return [station.judge(prepared(first + i), chance.gamma(9.0), heat(chance.random())) for i in range(count)]


def heat(level: float) -> np.ndarray:
    """A raw heatmap [8, 8] of `level` and a half everywhere."""
    return np.full((8, 8), 0.5 + level, np.float32)
