"""What one frame led to, and what a camera's station saw last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.records import Alarm, Frame, Verdict
from agent.inspection.calibration_plan import CalibrationPlan
from calibration import Calibration, Drift


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished calibration. The first one of a camera is in force already; a later one waits to be activated."""

    calibration: Calibration
    plan: CalibrationPlan
    """How it was asked for."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame led to."""

    frame: Frame
    score: float
    """Latent distance."""
    verdict: Verdict | None = None
    """None while there is no threshold, or nobody looks."""
    alarm: Alarm | None = None
    """What was raised or cleared by this frame."""
    candidate: Candidate | None = None
    """A calibration that this frame completed."""
    drift: Drift | None = None
    """What was found where this frame raised or lowered the drift flag."""
    blind: bool = False
    """The camera is, or may be, at fault: the score says nothing of the part."""
    late: Outcome | None = None
    """What earlier frames led to, which had been held back for a camera that turned out to be well."""


@dataclass(frozen=True, slots=True)
class LastFrame:
    """What the station saw last, for somebody who asks."""

    frame: Frame
    score: float
    """Latent distance."""
    statistic: float | None
    """What was compared with the threshold; None where nothing was judged."""
    heatmap: NDArray[np.float32]
    """Raw heat [h, w]."""
    calibration: Calibration | None
    """The one that was in force."""
