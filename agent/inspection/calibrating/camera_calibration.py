"""One camera's calibration: the one in force, and how another one replaces it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.alarms import DefectAlarm
from agent.core.errors import InspectdError
from agent.core.records import Phase
from agent.inspection.calibrating.earlier import earlier_calibration
from agent.inspection.calibrating.kept_window import WindowFile
from agent.inspection.calibrating.window_calibrator import WindowCalibrator
from agent.inspection.calibrating.window_progress import WindowProgress
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.camera_gate import CameraGate
from agent.inspection.frame_judge import FrameJudge
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Candidate
from agent.inspection.review import Reasons, WindowToReview, question_of_left_out
from calibration import Calibration, CalibrationError, Store, TrainingScores

log = logging.getLogger(__name__)


class CameraCalibration:
    """Puts calibrations in force: a stored one, that of a full window, or the one that a person asks for.

    It does no I/O except on its store and its window file. One thread drives it; its properties may be read from any
    thread.
    """

    def __init__(
        self,
        identity: CalibrationKey,
        plan: CalibrationPlan,
        store: Store,
        training: TrainingScores | None,
        *,
        now: Callable[[], datetime],
        gate: CameraGate,
        defect_alarm: DefectAlarm,
        window_file: WindowFile | None = None,
    ) -> None:
        """Put the stored calibration in force, if there is one, and continue the window of before a restart.

        Arguments as for `Station`, `gate` is the camera's.
        """
        self.identity = identity
        self.plan = plan
        """How to calibrate, as in the settings."""
        self.store = store
        """Where this camera's calibrations are kept."""
        self.window = WindowCalibrator(identity, training, now=now, file=window_file)
        """The window that is being filled."""
        self.judge: FrameJudge | None = None
        """Judges by the calibration in force; None before the first one."""
        self.phase = Phase.STARTING
        """The phase, apart from pauses and camera faults."""
        self._reasons = Reasons(identity.camera, training)
        self._now = now
        self._gate = gate
        self._defect_alarm = defect_alarm
        stored = store.active(bundle_sha256=identity.bundle, engine=identity.engine)
        self._earlier = None if stored is not None else earlier_calibration(store, identity, plan, now())
        """The offer of the calibration that this model had before."""
        if stored is not None:
            self._put_in_force(stored)
        elif self._earlier is not None:
            log.info("camera %s: %s", identity.camera, self._earlier, extra={"camera": identity.camera})
        self._resume_window()

    @property
    def in_force(self) -> Calibration | None:
        """The calibration in force."""
        return None if self.judge is None else self.judge.calibration

    @property
    def reason(self) -> str | None:
        """As `Station.reason`."""
        earlier = self._earlier if self.judge is None else None
        reasons = (self._reasons.text(self.in_force, self.plan.rule), *self._questions, earlier)
        return "; ".join(reason for reason in reasons if reason is not None) or None

    @property
    def _questions(self) -> tuple[str | None, str | None]:
        """Why a person should look at the window in force and at images left out, with the command; None: no need."""
        in_force, finished = self.in_force, None if self.window.stopped is not None else self.window_to_review
        doubt = None if finished is None or finished.doubt is None else finished.question(self.identity.camera)
        left_out = None if in_force is None else question_of_left_out(in_force, reviewable=finished is not None)
        return doubt, left_out

    @property
    def progress(self) -> WindowProgress | None:
        """How far the window is filled; None where none is being filled."""
        if self.phase is Phase.STARTING and not self.window.running:
            return WindowProgress(0, self.plan.frames)
        return self.window.progress

    @property
    def stopped_window(self) -> WindowToReview | None:
        """The window from which no threshold is taken before a person has looked at it."""
        return self.window.stopped

    @property
    def window_to_review(self) -> WindowToReview | None:
        """The window that was stopped, or the one in force as long as nobody has looked at it."""
        finished, in_force = self.window.finished, self.in_force
        same = finished is not None and in_force is not None and finished.calibration == in_force.id
        return self.window.stopped or (finished if same else None)

    # The window

    def start_window(self, plan: CalibrationPlan, measured_frames_per_second: float | None) -> None:
        """Start a new window; the threshold in force stays."""
        stored = len(self.store.list())
        self.window.start(plan, measured_frames_per_second, first=self.judge is None, calibrations=stored)
        if self.judge is None:
            self.phase = Phase.CALIBRATING

    def start_first_window(self, measured_frames_per_second: float | None) -> None:
        """The camera has settled: start its first window, or continue that of before the restart."""
        if self.window.running:
            self.phase = Phase.CALIBRATING
        else:
            self.start_window(self.plan, measured_frames_per_second)

    def _resume_window(self) -> None:
        kept = self.window.resume(len(self.store.list()))
        if kept is None:
            return
        camera, stopped = self.identity.camera, self.window.stopped
        if self.window.finished is not None:
            self._resume_finished()
            return
        images, fields = f"{kept.images:,} images from before the restart", {"camera": camera}
        if stopped is None:
            log.info("camera %s: the window continues with %s", camera, images, extra=fields)
            return
        self._reasons.window = stopped.question(camera)
        log.warning("camera %s: a window of %s waits: %s", camera, images, self._reasons.window, extra=fields)
        if self.judge is None:
            self.phase = Phase.REFUSED

    def _resume_finished(self) -> None:
        """The window of a calibration: ask for a look at it again, unless another one is in force by now."""
        if self.window_to_review is None:
            self.window.forget()
        self._ask_for_review()

    def _ask_for_review(self) -> None:
        camera = self.identity.camera
        for question in self._questions:
            if question is not None:
                log.warning("camera %s: %s", camera, question, extra={"camera": camera})

    def require_idle(self) -> None:
        """Raise InspectdError while a window is being filled."""
        if self.window.running or self.phase is Phase.STARTING:
            raise InspectdError(f"camera {self.identity.camera} is already being calibrated; wait, or cancel it first")

    def offer(
        self,
        prepared: PreparedFrame,
        score: float,
        heatmap: NDArray[np.float32],
        *,
        anomalous: bool,
        measured_frames_per_second: float | None,
        first_score: float | None = None,
    ) -> Candidate | None:
        """Add a frame, or the frame of a part, to the window unless it is anomalous.

        Returns the calibration that this completes. A window that is rejected is logged, and another one started where
        no calibration is in force and none waits for a person.
        """
        try:
            if anomalous and not self.window.takes_alarms:
                self.window.keep_out_alarmed(score)
                return None
            candidate = self.window.add(prepared, score, heatmap, first_score)
            self._reasons.note_extension(self.window.extended)
            if candidate is not None:
                self._keep(candidate)
        except CalibrationError as error:
            self._report_rejected(error, measured_frames_per_second)
            return None
        return candidate

    def _keep(self, candidate: Candidate) -> None:
        """Store a finished calibration; the first one is put in force, a later one waits for `activate`."""
        self.store.save(candidate.calibration)
        if self.judge is None and not candidate.plan.dry_run:
            self.activate(candidate.calibration, candidate.plan.by)
        # Its file is kept as it is while a full disk does not take the calibration.
        if self.store.problem is None:
            self.window.keep_finished()

    def _report_rejected(self, error: CalibrationError, measured_frames_per_second: float | None) -> None:
        self._reasons.window = str(error)
        camera = self.identity.camera
        log.warning("camera %s: calibration window rejected: %s", camera, error, extra={"camera": camera})
        if self.judge is None and self.window.stopped is None:
            self.start_window(self.plan, measured_frames_per_second)
        elif self.judge is None:
            self.phase = Phase.REFUSED

    def decide(
        self, only: Collection[int] | None, by: str, measured_frames_per_second: float | None
    ) -> Calibration | None:
        """Take in what a person says about the window to review, and return the calibration in force afterwards.

        `only` are the numbers of the bad parts, None all suspects. Returns None where a stopped window is discarded; a
        new one is started if nothing is in force. Raises InspectdError where no window waits or `only` does not fit.
        """
        finished = None if self.window.stopped is not None else self.window_to_review
        if finished is not None:
            return self._reconsider(finished, only, by)
        calibration = self.window.decide(only, by)
        if calibration is not None:
            self._take_over(calibration, by)
            return calibration
        self._reasons.window = None
        if self.judge is None:
            self.start_window(self.plan, measured_frames_per_second)
        return None

    def _reconsider(self, finished: WindowToReview, only: Collection[int] | None, by: str) -> Calibration | None:
        """A person has looked at the window in force: make its calibration anew where that changes which images count.

        Where it changes nothing, the calibration stays, with its evidence from production.
        """
        in_force, bad = self.in_force, finished.places_thrown_out(only)
        if bad or (in_force is not None and in_force.left_out):
            in_force = self.window.reconsider(finished, bad or (), by)
            self._take_over(in_force, by)
        else:
            self.window.forget()
        return in_force

    def _take_over(self, calibration: Calibration, by: str) -> None:
        """Put the calibration in force that a person has decided on; its window is kept no longer."""
        self.store.save(calibration)
        self.activate(calibration, by)
        if self.store.problem is None:
            self.window.forget()

    def cancel(self) -> None:
        """Discard the new window. Raises InspectdError where there is none, or no calibration is in force."""
        window = self.window.running or self.window.stopped is not None
        if not window or self.judge is None:
            raise InspectdError(f"camera {self.identity.camera} has no recalibration to cancel")
        self.window.stop()

    # The calibration in force

    def activate(self, calibration: Calibration, by: str) -> None:
        """Put a stored calibration in force, now and after a restart; `by` is recorded."""
        self.store.activate(calibration.id, who=by, at=self._now())
        self._put_in_force(calibration)

    def roll_back(self, to: str | None, by: str) -> Calibration:
        """Put the calibration with id `to` in force again, or the previous one; `by` is recorded.

        Raises CalibrationError where there is none, InspectdError where it is for another bundle or engine.
        """
        at = self._now()
        if to is None:
            key = self.identity
            calibration = self.store.rollback(who=by, at=at, bundle_sha256=key.bundle, engine=key.engine)
        else:
            self.identity.require_match(self.store.load(to))
            calibration = self.store.activate(to, who=by, at=at)
        self._put_in_force(calibration)
        return calibration

    def adopt(self, plan: CalibrationPlan) -> None:
        """Take over new settings: quiet time and certificate at once, the rest with the next calibration."""
        if plan.rule != self.plan.rule:
            self._reasons.warn_of_other_rule(self.in_force, plan.rule)
        self.plan = plan
        self._defect_alarm.clear_after_seconds = plan.clear_after_seconds
        if self.judge is not None:
            before, self.phase = self.phase, self._phase_under(self.judge.calibration)
            if self.phase is not before:
                self.judge.reset_rule()

    def _put_in_force(self, calibration: Calibration) -> None:
        self.judge = FrameJudge(calibration, self._gate, self._defect_alarm, parts_known=self.plan.parts_known)
        self.phase = self._phase_under(calibration)
        self._reasons.use(calibration)
        self._reasons.warn_of_other_rule(calibration, self.plan.rule)
        self._ask_for_review()

    def _phase_under(self, calibration: Calibration) -> Phase:
        accepted = calibration.threshold.certified or not self.plan.require_certificate
        return Phase.ARMED if accepted else Phase.REFUSED
