"""Fills a window with the good frames of one camera and makes a calibration of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Candidate
from calibration import Calibration, CalibrationError, Window


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far a window is filled."""

    frames: int
    """Good frames so far."""
    target: int
    """Good frames wanted; may grow where they turn out to depend on each other."""


class WindowCalibrator:
    """Fills one window at a time. Pure, apart from the wall clock of the calibration's record."""

    def __init__(self, identity: CalibrationKey, *, now: Callable[[], datetime]) -> None:
        """Args:
        identity: camera, bundle and engine that the calibrations are for.
        now: wall clock, UTC.
        """
        self._identity = identity
        self._now = now
        self._window: Window | None = None
        self._plan: CalibrationPlan | None = None

    @property
    def running(self) -> bool:
        """True while a window is being filled."""
        return self._window is not None

    @property
    def progress(self) -> WindowProgress | None:
        """How far the window is filled; None while none is."""
        # Read once: other threads ask for it while a window is finished.
        window = self._window
        return None if window is None else WindowProgress(window.count, window.target)

    def start(self, plan: CalibrationPlan, measured_frames_per_second: float | None) -> None:
        """Start a new, empty window; the measured frame rate counts where the plan gives none."""
        rate = plan.frames_per_second or measured_frames_per_second
        self._plan = replace(plan, frames_per_second=rate)
        self._window = Window(
            frames=plan.frames,
            max_frames=plan.max_frames,
            rule=plan.rule,
            budget=plan.budget,
            frames_per_second=rate or 1.0,
            confidence=plan.confidence,
            quiet_frames=max(1, round(plan.clear_after_seconds * (rate or 1.0))),
        )

    def stop(self) -> None:
        """Discard the window."""
        self._window = None

    def add(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Candidate | None:
        """Add a good frame, its score and its raw heatmap float32 [h, w] to the window that is being filled.

        Returns the calibration that this completes, not stored yet. Raises CalibrationError where the window is
        rejected. In both cases no window is being filled afterwards.
        """
        window, plan = self._window, self._plan
        assert window is not None
        assert plan is not None
        try:
            window.add(score, heatmap, prepared.pixels, frame=prepared.frame.index)
        except CalibrationError:
            self.stop()
            raise
        if not window.complete:
            return None
        self.stop()
        return Candidate(self._finish(window, plan.by), plan)

    def _finish(self, window: Window, by: str) -> Calibration:
        identity = self._identity
        return window.finish(
            camera=identity.camera,
            bundle_sha256=identity.bundle,
            engine=identity.engine,
            created_at=self._now(),
            who=by,
        )
