"""Fills a window with the good frames of one camera, over restarts, and makes a calibration of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import InspectdError
from agent.core.records import Frame
from agent.inspection.calibrating.kept_window import KeptWindow, WindowFile
from agent.inspection.calibrating.window_images import WindowImages
from agent.inspection.calibrating.window_progress import WindowProgress
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Candidate
from agent.inspection.review import WindowStopped, WindowToReview, doubt_about
from agent.parts import RateMeter
from calibration import (
    Calibration,
    CalibrationError,
    FitFinding,
    TrainingScores,
    Window,
    check_fit,
    of_prefix,
    with_prefix,
)
from engines.images import without_masked, without_padding

# Longer windows are not kept for a later review: their heatmaps would take up to 100 MB.
_LONGEST_KEPT = 5_000

# Intervals between frames that the rate of a window is measured over: 80 kB for each camera.
_RATE_INTERVALS = 10_000


class WindowCalibrator:
    """Fills one window at a time, and keeps it in a file until its calibration is stored. One thread calls it."""

    def __init__(
        self,
        identity: CalibrationKey,
        training: TrainingScores | None = None,
        *,
        now: Callable[[], datetime],
        file: WindowFile | None = None,
    ) -> None:
        """Args:
        identity: camera, bundle and engine that the calibrations are for.
        training: the scores that the bundle is known to give; None: not known, windows are not compared with them.
        now: wall clock, UTC.
        file: keeps the window over a restart; None: it is in memory only.
        """
        self._identity = identity
        self._training = training
        self._now = now
        self._images = WindowImages()
        self.stopped: WindowToReview | None = None
        """The full window that waits for a person; the next `start` or `stop` discards it."""
        self.finished: WindowToReview | None = None
        """The window that the latest calibration was made from, until a person has looked at it."""
        self._window: Window | None = None
        self._plan: CalibrationPlan | None = None
        self._rate = RateMeter(_RATE_INTERVALS)
        self._file = file
        self._calibrations = 0
        self._first = self._worth_keeping = False
        self.resumed = False
        """The window was begun before the agent was restarted."""

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

    def resume(self, calibrations: int) -> KeptWindow | None:
        """Continue the window of before the restart, and return it; None where there is none.

        Args:
            calibrations: that the camera has.
        """
        kept = None if self._file is None else self._file.read(calibrations)
        if kept is None:
            return None
        try:
            window = self._restored(kept)
        except (CalibrationError, KeyError, ValueError, TypeError, IndexError) as error:
            assert self._file is not None
            self._window = None
            self._file.discard_unreadable(error)
            return None
        self._calibrations, self.resumed = kept.calibrations, True
        if kept.finding is not None:
            self.stopped = WindowToReview(window, kept.plan, self._images.hottest, kept.finding)
        elif kept.calibration is not None:
            self.finished = self._to_review(window, kept.plan, kept.calibration)
        if kept.full:
            self._window = None
        return kept

    def _restored(self, kept: KeptWindow) -> Window:
        window = self._open(kept.plan, 1.0)
        window.restore(of_prefix("window", kept.arrays))
        self._images.restore(kept.arrays)
        self._rate.resume(kept.arrays["intervals"].tolist())
        return window

    def start(
        self,
        plan: CalibrationPlan,
        measured_frames_per_second: float | None,
        *,
        first: bool = False,
        calibrations: int = 0,
    ) -> None:
        """Start a new, empty window.

        Where the plan gives no frame rate, it is measured while the window is filled (see `observe`); until then
        `measured_frames_per_second` counts.

        Args:
            plan: how the calibration is to be made.
            measured_frames_per_second: rate of the camera until now; None: not known.
            first: no calibration is in force.
            calibrations: that the camera has.
        """
        if self._file is not None:
            self._file.begin()
        self._first, self._worth_keeping = first, False
        self._calibrations, self.resumed = calibrations, False
        self._open(plan, plan.frames_per_second or measured_frames_per_second or 1.0)

    def _open(self, plan: CalibrationPlan, rate: float) -> Window:
        self._plan = plan
        self._images = WindowImages()
        self.stopped = self.finished = None
        self._rate = RateMeter(_RATE_INTERVALS)
        self._window = window = Window(
            frames=plan.frames,
            max_frames=plan.max_frames if plan.require_certificate else plan.frames,
            rule=plan.rule,
            budget=plan.budget,
            frames_per_second=rate,
            confidence=plan.confidence,
            quiet_frames=plan.quiet_frames(rate),
            parts=plan.parts_known,
            vouched=plan.fresh,
        )
        return window

    def observe(self, monotonic_seconds: float) -> None:
        """Take in the monotonic time of a frame, seconds, whether it belongs in the window or not."""
        if self._window is not None:
            self._rate.update(monotonic_seconds)

    def stop(self) -> None:
        """Discard the window, also one that waits for a person."""
        self._window = self.stopped = None
        self.forget()

    def forget(self) -> None:
        """The window was discarded, or a person has looked at it: keep it no longer."""
        self.finished = None
        if self._file is not None:
            self._file.discard()

    def keep_finished(self) -> None:
        """The calibration of the window is on the disk: keep the window for a review only."""
        finished = self.finished
        if finished is None:
            self.forget()
        elif self._file is not None:
            self._file.write_soon(self._kept(finished.window, finished.plan, made=finished.calibration))

    def keep(self, *, wait: bool = True) -> None:
        """Write the window that is being filled, since the agent ends; `wait` until it is on the disk."""
        window, plan = self._window, self._plan
        if window is not None and plan is not None and self._file is not None and self._worth_keeping:
            (self._file.write if wait else self._file.write_soon)(self._kept(window, plan))

    @property
    def takes_alarms(self) -> bool:
        """True if frames that raise an alarm under the threshold in force belong in the window too."""
        return self._plan is not None and self._plan.fresh

    def keep_out_alarmed(self, score: float) -> None:
        """Keep a frame with this score out of the window, since it raises an alarm under the threshold in force.

        Raises CalibrationError where there are too many; no window is being filled afterwards.
        """
        assert self._window is not None
        try:
            self._window.keep_out_alarmed(score)
        except CalibrationError:
            self.stop()
            raise

    def add(
        self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32], first_score: float | None = None
    ) -> Candidate | None:
        """Add a good frame, its score and its raw heatmap float32 [h, w] to the window that is being filled.

        `first_score` is as in `Window.add`.

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
            self._images.check_size(prepared.frame)
            seen = without_padding(prepared.pixels, prepared.frame.content)
            seen = without_masked(seen, prepared.frame.excluded)
            window.add(score, heatmap, seen, frame=prepared.frame.index, first_score=first_score)
        except CalibrationError:
            self.stop()
            raise
        self._images.add(window.count - 1, score, prepared.frame)
        if not window.complete:
            self._keep_if_due(window, plan, prepared.frame)
            return None
        self._window = None
        return self._complete(window, replace(plan, frames_per_second=window.terms.frames_per_second))

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
        if bad is None:
            self.stop()
            return None
        try:
            calibration = self._finish(stopped.window, stopped.plan, by, confirmed_bad=bad)
        except CalibrationError:
            self.stop()
            raise
        self.stopped = None
        return calibration

    def reconsider(self, finished: WindowToReview, bad: Collection[int], by: str) -> Calibration:
        """Make a finished window's calibration anew, without the places `bad`; `by` vouches for all other images."""
        return self._finish(finished.window, finished.plan, by, confirmed_bad=bad)

    def _complete(self, window: Window, plan: CalibrationPlan) -> Candidate:
        try:
            # The suspects of a window that fits its model are as many as the good parts of the training had: they are
            # good ones.
            confirmed_bad = frozenset[int]() if self._fits(window, plan) else None
            calibration = self._finish(window, plan, plan.by, confirmed_bad)
        except WindowStopped:
            raise
        except CalibrationError:
            self.stop()
            raise
        if window.count <= _LONGEST_KEPT:
            self.finished = self._to_review(window, plan, calibration.id)
        return Candidate(calibration, plan)

    def _to_review(self, window: Window, plan: CalibrationPlan, calibration: str) -> WindowToReview:
        # A person vouches for the parts of a fresh window.
        doubt = None if plan.fresh else doubt_about(self._training, window.count)
        return WindowToReview(window, plan, self._images.hottest, calibration=calibration, doubt=doubt)

    def _keep_if_due(self, window: Window, plan: CalibrationPlan, frame: Frame) -> None:
        if self._file is None:
            return
        # A folder delivers the files of a first window again after a restart (`UnfinishedFiles`).
        self._worth_keeping = self._file.all_frames and not (self._first and frame.file is not None)
        if self._worth_keeping and self._file.due:
            self._file.write_soon(self._kept(window, plan))

    def _kept(
        self, window: Window, plan: CalibrationPlan, finding: FitFinding | None = None, made: str | None = None
    ) -> KeptWindow:
        arrays = {
            **with_prefix("window", window.arrays()),
            **self._images.arrays(),
            "intervals": np.array(self._rate.intervals),
        }
        return KeptWindow(self._calibrations, plan, window.count, arrays, finding, made)

    def _fits(self, window: Window, plan: CalibrationPlan) -> bool:
        """Return whether the model's own scores of good parts account for all images of the window.

        A window that contradicts them is kept for review, and WindowStopped is raised. A fresh one is taken without a
        comparison, since a person vouches for its parts.
        """
        window.check()
        if self._training is None or plan.fresh:
            return False
        finding = check_fit(window.first_scores, self._training)
        if finding is not None and finding.stops:
            self.stopped = WindowToReview(window, plan, self._images.hottest, finding)
            if self._file is not None:
                self._file.write_soon(self._kept(window, plan, finding))
            raise WindowStopped(self.stopped.question(self._identity.camera))
        return finding is None and self._training.shows_upper_tail

    def _use_measured_rate(self, window: Window, plan: CalibrationPlan) -> None:
        """Give a window that may be complete with the next frame the rate of its own frames, without stops."""
        rate = self._rate.frames_per_second
        if plan.frames_per_second is None and rate is not None:
            quiet = plan.quiet_frames(rate)
            window.terms = replace(window.terms, frames_per_second=rate, quiet_frames=quiet)

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
            source=self._images.reference(),
            confirmed_bad=confirmed_bad,
        )
        return calibration if plan.false_alarms is None else plan.false_alarms.applied_to(calibration)
