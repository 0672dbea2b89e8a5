"""Fills a window with the good frames of one camera and makes a calibration of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import InspectdError
from agent.core.records import Frame
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Candidate
from agent.inspection.review import HottestImages, StoppedWindow, WindowStopped
from agent.parts import RateMeter
from calibration import (
    Calibration,
    CalibrationError,
    SizeMonitor,
    SourceImages,
    TrainingScores,
    Window,
    check_fit,
)

# Intervals between frames that the rate of a window is measured over: 80 kB for each camera.
_RATE_INTERVALS = 10_000


@dataclass(frozen=True, slots=True)
class WindowProgress:
    """How far a window is filled."""

    frames: int
    """Good frames so far."""
    target: int
    """Good frames wanted; may grow where a certificate is required."""


class WindowCalibrator:
    """Fills one window at a time. Pure, apart from the wall clock of the calibration's record."""

    def __init__(
        self, identity: CalibrationKey, training: TrainingScores | None = None, *, now: Callable[[], datetime]
    ) -> None:
        """Args:
        identity: camera, bundle and engine that the calibrations are for.
        training: the scores that the bundle is known to give; None: not known, windows are not compared with them.
        now: wall clock, UTC.
        """
        self._identity = identity
        self._training = training
        self._now = now
        self._hottest, self._source, self._size = HottestImages(), SourceImages(), SizeMonitor(None)
        self.stopped: StoppedWindow | None = None
        """The full window that waits for a person; the next `start` or `stop` discards it."""
        self._window: Window | None = None
        self._plan: CalibrationPlan | None = None
        self._rate = RateMeter(_RATE_INTERVALS)

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

    @property
    def extended(self) -> str | None:
        """Why the window was extended last, in words; None where it was not."""
        return None if self._window is None else self._window.extension_reason

    def start(self, plan: CalibrationPlan, measured_frames_per_second: float | None) -> None:
        """Start a new, empty window.

        Where the plan gives no frame rate, it is measured while the window is filled (see `observe`); until then
        `measured_frames_per_second` counts.
        """
        rate = plan.frames_per_second or measured_frames_per_second or 1.0
        self._plan = plan
        self._hottest, self._source, self._size = HottestImages(), SourceImages(), SizeMonitor(None)
        self.stopped = None
        self._rate = RateMeter(_RATE_INTERVALS)
        self._window = Window(
            frames=plan.frames,
            max_frames=plan.max_frames if plan.require_certificate else plan.frames,
            rule=plan.rule,
            budget=plan.budget,
            frames_per_second=rate,
            confidence=plan.confidence,
            quiet_frames=_quiet_frames(plan, rate),
            parts=plan.parts_known,
            vouched=plan.fresh,
        )

    def observe(self, monotonic_seconds: float) -> None:
        """Take in the monotonic time of a frame, seconds, whether it belongs in the window or not."""
        if self._window is not None:
            self._rate.update(monotonic_seconds)

    def stop(self) -> None:
        """Discard the window, also one that waits for a person."""
        self._window = self.stopped = None

    @property
    def takes_alarms(self) -> bool:
        """True if frames that raise an alarm under the threshold in force belong in the window too."""
        return self._plan is not None and self._plan.fresh

    def keep_out_alarmed(self) -> None:
        """Keep a frame out of the window that raises an alarm under the threshold in force.

        Raises CalibrationError where there are too many; no window is being filled afterwards.
        """
        assert self._window is not None
        try:
            self._window.keep_out_alarmed()
        except CalibrationError:
            self.stop()
            raise

    def add(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Candidate | None:
        """Add a good frame, its score and its raw heatmap float32 [h, w] to the window that is being filled.

        Returns the calibration that this completes, not stored yet. Raises CalibrationError where the window is
        rejected, and its subclass WindowStopped where it is kept for review. In none of these cases a window is being
        filled afterwards.
        """
        window, plan = self._window, self._plan
        assert window is not None
        assert plan is not None
        if window.count + 1 >= window.target:
            self._use_measured_rate(window, plan)
        try:
            self._check_size(prepared.frame)
            window.add(score, heatmap, prepared.pixels, frame=prepared.frame.index)
        except CalibrationError:
            self.stop()
            raise
        self._source.add(prepared.frame.source_image.shape[:2], prepared.frame.image)
        self._hottest.offer(window.count - 1, score, prepared.frame)
        if not window.complete:
            return None
        self.stop()
        plan = replace(plan, frames_per_second=window.frames_per_second)
        # The suspects of a window that fits its model are as many as the training's good parts had: they are good ones.
        confirmed_bad = frozenset[int]() if self._fits(window, plan) else None
        return Candidate(self._finish(window, plan, plan.by, confirmed_bad), plan)

    def decide(self, only: Collection[int] | None, by: str) -> Calibration | None:
        """Make the calibration of the stopped window after a person has looked at its suspects.

        Args:
            only: numbers of the suspects that are bad; the person vouches for all other images. None: all suspects.
            by: the person.

        Returns None where too much would be thrown out: the window is discarded. Raises InspectdError where no window
        waits or a number is unknown.
        """
        stopped = self.stopped
        if stopped is None:
            raise InspectdError(f"camera {self._identity.camera} has no window to review")
        bad = stopped.places_thrown_out(only)
        self.stop()
        return None if bad is None else self._finish(stopped.window, stopped.plan, by, confirmed_bad=bad)

    def _check_size(self, frame: Frame) -> None:
        """Raise CalibrationError where a live camera changes its size within a window; files may have several."""
        finding = self._size.check(*frame.source_image.shape[:2]) if frame.file is None else None
        if finding is not None:
            raise CalibrationError(f"window: {finding.reason}")

    def _fits(self, window: Window, plan: CalibrationPlan) -> bool:
        """Return whether the model's own scores of good parts account for all images of the window.

        A window that contradicts them is kept for review, and WindowStopped is raised. A fresh one is taken without a
        comparison, since a person vouches for its parts.
        """
        window.check()
        if self._training is None or plan.fresh:
            return False
        finding = check_fit(window.scores, self._training)
        if finding is not None and finding.stops:
            self.stopped = StoppedWindow(window, plan, finding, self._hottest)
            raise WindowStopped(f"{finding.reason}; see `inspectd calibration review {self._identity.camera}`")
        return finding is None and self._training.shows_upper_tail

    def _use_measured_rate(self, window: Window, plan: CalibrationPlan) -> None:
        """Give a window that may be complete with the next frame the rate of its own frames, without stops."""
        rate = self._rate.frames_per_second
        if plan.frames_per_second is None and rate is not None:
            window.frames_per_second, window.quiet_frames = rate, _quiet_frames(plan, rate)

    def _finish(
        self, window: Window, plan: CalibrationPlan, by: str, confirmed_bad: Collection[int] | None = None
    ) -> Calibration:
        identity = self._identity
        calibration = window.finish(
            camera=identity.camera,
            bundle_sha256=identity.bundle,
            engine=identity.engine,
            created_at=self._now(),
            who=by,
            confirmed_bad=confirmed_bad,
        )
        # Another content has another id.
        calibration = replace(calibration, source=self._source.reference(), id="")
        return calibration if plan.false_alarms is None else plan.false_alarms.applied_to(calibration)


def _quiet_frames(plan: CalibrationPlan, frames_per_second: float) -> int:
    return max(0 if plan.parts_known else 1, round(plan.clear_after_seconds * frames_per_second))
