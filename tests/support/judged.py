"""Alarms and calibrations for tests of the review."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np

from agent.core.ids import new_id
from agent.review.database import ReviewDatabase
from agent.review.folders import ReviewFolders
from agent.review.journal import Journal
from agent.review.records import AlarmRecord, Exposure, Judged, Judgement
from calibration import Budget, Calibration
from tests.calibration.lines import calibration

AT = datetime(2026, 3, 3, 14, 20, tzinfo=timezone.utc)


def calibration_for(budget: str = "1 per 100 frames") -> Calibration:
    """A calibration of camera `line1` with this budget, 20 frames per second."""
    return replace(calibration(), id="", camera="line1", budget=Budget.parse(budget), frames_per_second=20.0)


def record(
    *, camera: str = "line1", seconds: float = 0.0, frames: int = 0, kind: str = "defect", **more: object
) -> AlarmRecord:
    """An alarm, raised `seconds` after AT at that exposure."""
    given = AlarmRecord(
        new_id(),
        camera,
        kind,
        AT + timedelta(seconds=seconds),
        frame=frames,
        score=3.0,
        peak=3.5,
        threshold=2.0,
        rule="1 of 1",
        calibration="c1",
        bundle="b" * 64,
        engine="onnxruntime",
        exposure=Exposure(seconds, frames),
    )
    return replace(given, **more)  # type: ignore[arg-type]


def judgement(alarm: AlarmRecord, verdict: Judged, by: str = "Anna", **more: str) -> Judgement:
    """A judgement, not numbered yet."""
    return Judgement(0, alarm.id, verdict, by, AT, **more)


def open_journal(tmp_path: Path) -> tuple[Journal, ReviewDatabase, ReviewFolders]:
    """A journal in the state directory `tmp_path`."""
    folders = ReviewFolders.of(tmp_path)
    database = ReviewDatabase(folders.database)
    return Journal(database), database, folders


def gray(level: int, *, sixteen_bit: bool = False) -> np.ndarray:
    """A gray image [24, 32, 1]."""
    return np.full((24, 32, 1), level, np.uint16 if sixteen_bit else np.uint8)
