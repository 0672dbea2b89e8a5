"""One camera's place in the line: from its scores to a calibration, to verdicts, to alarms. No threads, no clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, DefectAlarm, Moment
from agent.core.errors import InspectdError
from agent.core.records import PAUSED, Alarm, Frame, Phase, Verdict
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan, WindowProgress
from agent.inspection.camera_gate import CameraGate, HeldFrames
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.frame_rate import RateMeter
from agent.inspection.outcome import Candidate, LastFrame, Outcome
from calibration import AlarmRule, Calibration, CalibrationError, Drift, DriftMonitor, Store, Window

log = logging.getLogger(__name__)

# The rate of a camera is measured on its first frames, before the window starts: a new stream also needs a moment for
# its exposure to settle.
SETTLING_FRAMES = 20


class Station:
    """Takes the scores of one camera's frames, in order, and says what follows."""

    def __init__(
        self,
        identity: CalibrationKey,
        plan: CalibrationPlan,
        store: Store,
        tracker: DefectAlarm,
        health: CameraAlarm,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Args:
        identity: camera, bundle and engine; a stored calibration is used only where it is for exactly these.
        plan: how to calibrate where none is stored.
        store: where this camera's calibrations are kept.
        tracker: raises and clears the alarms about parts.
        health: raises and clears the alarms about the camera.
        now: wall clock, for the calibration's record.
        """
        self.identity = identity
        self.plan = plan
        self.reason: str | None = None
        """Why the last calibration was refused, or is not certified; None where all is well."""
        self._store = store
        self._tracker = tracker
        self._sight = CameraGate(health)
        self._last_frame = 0
        self._now = now
        self._rule = AlarmRule(plan.rule)
        self._rate = RateMeter()
        self._window: Window | None = None
        self._window_plan = plan
        self._paused = False
        self._drift: DriftMonitor | None = None
        self._seen: LastFrame | None = None
        self._calibration: Calibration | None = None
        self._phase = Phase.STARTING
        stored = store.active(bundle_sha256=identity.bundle, engine=identity.engine)
        if stored is not None:
            self._arm(stored)

    @property
    def store(self) -> Store:
        """Where this camera's calibrations are kept."""
        return self._store

    @property
    def phase(self) -> Phase:
        """What the station is doing."""
        if self._paused:
            return Phase.PAUSED
        return Phase.BLIND if self._phase is Phase.ARMED and self.blindness is not None else self._phase

    @property
    def calibration(self) -> Calibration | None:
        """The calibration in force."""
        return self._calibration

    @property
    def seen(self) -> LastFrame | None:
        """The frame that was scored last; None before the first."""
        return self._seen

    @property
    def progress(self) -> WindowProgress | None:
        """How far the running calibration is; None where none runs."""
        if self._window is not None:
            return WindowProgress(self._window.count, self._window.target)
        return WindowProgress(0, self.plan.frames) if self._phase is Phase.STARTING else None

    @property
    def frames_per_second(self) -> float | None:
        """Rate at which frames arrive, as measured; None before it is known."""
        return self._rate.frames_per_second

    @property
    def drifted(self) -> bool:
        """True while the scores of good parts lie off those that the calibration saw."""
        return self._drift is not None and self._drift.flag

    @property
    def drift_shift(self) -> float:
        """How far the last block of scores lay off the calibration's, in standard deviations of a score."""
        return 0.0 if self._drift is None else self._drift.drift.shift

    @property
    def blindness(self) -> str | None:
        """Why no part can be judged by the camera's frames, in words; None where the camera is well."""
        alarm = self._sight.health.open_alarm
        return None if alarm is None else alarm.reason

    @property
    def open_alarm(self) -> str | None:
        """Id of the alarm that stands; of the one about the camera where both do."""
        alarm = self._sight.health.open_alarm or self._tracker.open_alarm
        return None if alarm is None else alarm.id

    def pause(self, monotonic_seconds: float) -> list[Alarm]:
        """Look away: frames are scored, but not judged. What was seen before says nothing about what comes after.

        Returns what this clears: alarms whose end nobody would see. One that a fault or a defect still gives cause for
        is raised anew, under another id, after `resume`.
        """
        self._paused = True
        self._forget()
        threshold = None if self._calibration is None else self._calibration.threshold.value
        moment = Moment(self._now(), monotonic_seconds, self._last_frame, 0.0, threshold)
        over = [self._sight.health.end(PAUSED, moment)]
        if threshold is not None:
            over.append(self._tracker.end(moment.captured_at, moment.frame, threshold, PAUSED))
        return [alarm for alarm in over if alarm is not None]

    def resume(self) -> None:
        """Look again."""
        self._paused = False

    def recalibrate(self, plan: CalibrationPlan) -> None:
        """Begin a new window under the old threshold. Raises InspectdError while one is being filled."""
        if self._window is not None or self._phase is Phase.STARTING:
            raise InspectdError(f"camera {self.identity.camera} is being calibrated already; wait, or cancel it first")
        self._begin(plan)

    def cancel(self) -> None:
        """Give up the new window. Raises InspectdError where none is being filled, or nothing else is in force."""
        if self._window is None or self._calibration is None:
            raise InspectdError(f"camera {self.identity.camera} has no recalibration to cancel")
        self._window = None

    def activate(self, calibration: Calibration, by: str) -> None:
        """Put another calibration in force, at once and for good."""
        self._store.activate(calibration.id, who=by, at=self._now())
        self._arm(calibration)

    def roll_back(self, to: str | None, by: str) -> Calibration:
        """Go back to the calibration that was in force before, or to the one of this id.

        Raises CalibrationError where there is none, InspectdError where it is for another bundle or engine.
        """
        at = self._now()
        if to is None:
            calibration = self._store.rollback(who=by, at=at)
        else:
            self._require_fit(self._store.load(to))
            calibration = self._store.activate(to, who=by, at=at)
        self._arm(calibration)
        return calibration

    def _require_fit(self, calibration: Calibration) -> None:
        if (calibration.bundle_sha256, calibration.engine) != (self.identity.bundle, self.identity.engine):
            raise InspectdError(
                f"calibration {calibration.id} is for bundle {calibration.bundle_sha256[:8]} on {calibration.engine}; "
                f"wanted one for {self.identity.bundle[:8]} on {self.identity.engine}"
            )

    def adopt(self, plan: CalibrationPlan) -> None:
        """Take over new settings: the quiet time and the certificate now, the rest with the next calibration."""
        self.plan = plan
        self._tracker.clear_after_seconds = plan.clear_after_seconds
        if self._calibration is not None:
            before, self._phase = self._phase, self._phase_under(self._calibration)
            if self._phase is not before:
                self._rule.reset()

    def judge(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        """Take in the next frame's score and raw heatmap [h, w]: what follows from them."""
        outcome = self._follow(prepared, score, heatmap)
        statistic = outcome.verdict.statistic if outcome.verdict else None
        self._seen = LastFrame(prepared.frame, score, statistic, heatmap, self._calibration)
        return outcome

    def _follow(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        frame = prepared.frame
        self._last_frame = frame.index
        self._rate.update(frame.captured_monotonic)
        if self._paused:
            return Outcome(frame, score)
        if self._phase is Phase.STARTING:
            self._settle()
            return Outcome(frame, score, alarm=self._sight.see(frame, score))
        sick_before = self._sight.sick
        outcome = self._inspect(prepared, score, heatmap)
        if self._window is not None and self._teaches(outcome, sick_before):
            outcome = replace(outcome, candidate=self._learn(prepared, score, heatmap))
        return outcome

    def lose_camera(self, reason: str, monotonic_seconds: float) -> Alarm | None:
        """No frames come any more: the alarm that follows, unless one stands or somebody asked to look away."""
        if self._paused:
            return None
        self._forget()
        threshold = None if self._calibration is None else self._calibration.threshold.value
        return self._sight.lose(reason, Moment(self._now(), monotonic_seconds, self._last_frame, 0.0, threshold))

    def _teaches(self, outcome: Outcome, sick_before: bool) -> bool:
        """Whether a frame belongs into the window: not what alarms, nor what may be the camera's fault.

        A sick camera's frames do: whoever recalibrates after it was moved wants them. The window refuses a black one.
        """
        if outcome.verdict is not None:
            return not outcome.verdict.anomalous
        return not outcome.blind or (sick_before and self._sight.sick)

    def _settle(self) -> None:
        if self._rate.count >= SETTLING_FRAMES:
            self._begin(self.plan)
            self._phase = Phase.CALIBRATING

    def _inspect(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        """The camera first: a black frame also scores high, and says nothing of the part."""
        frame, calibration = prepared.frame, self._calibration
        if calibration is None or self._phase is not Phase.ARMED:
            return Outcome(frame, score, alarm=self._sight.see(frame, score))
        look = self._sight.look(prepared, score, heatmap, calibration.threshold.value)
        if self._sight.sick:
            self._forget()
        if look.blind:
            return Outcome(frame, score, alarm=look.alarm, blind=True)
        late = self._judge_late(self._sight.release(), calibration)
        return replace(self._judge(frame, score, heatmap, calibration), late=late)

    def _judge_late(self, held: HeldFrames, calibration: Calibration) -> Outcome | None:
        """What frames that were held back lead to, told by the one that stands out."""
        if held.hottest is None:
            return None
        statistic = max(self._rule.update(score) for score in held.scores)
        frame, score, heatmap = held.hottest
        verdict = Verdict(frame, score, statistic, calibration.threshold.value, calibration.heat(heatmap))
        return Outcome(frame, score, verdict, self._tracker.update(verdict))

    def _forget(self) -> None:
        """What was seen before says nothing about what comes after."""
        self._sight.forget()
        self._rule.reset()
        self._tracker.look_away()

    def _judge(self, frame: Frame, score: float, heatmap: NDArray[np.float32], calibration: Calibration) -> Outcome:
        statistic = self._rule.update(score)
        drift = self._watch_drift(score)
        verdict = Verdict(frame, score, statistic, calibration.threshold.value, calibration.heat(heatmap))
        return Outcome(frame, score, verdict, self._tracker.update(verdict), drift=drift)

    def _watch_drift(self, score: float) -> Drift | None:
        """What the monitor says, where this score turns its flag."""
        if self._drift is None:
            return None
        before = self._drift.flag
        return None if self._drift.update(score) == before else self._drift.drift

    def _begin(self, plan: CalibrationPlan) -> None:
        rate = plan.frames_per_second or self._rate.frames_per_second
        self._window_plan = replace(plan, frames_per_second=rate)
        self._window = Window(
            frames=plan.frames,
            max_frames=plan.max_frames,
            rule=plan.rule,
            budget=plan.budget,
            frames_per_second=rate or 1.0,
            confidence=plan.confidence,
            quiet_frames=max(1, round(plan.clear_after_seconds * (rate or 1.0))),
        )

    def _learn(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Candidate | None:
        window = self._window
        assert window is not None
        try:
            window.add(score, heatmap, prepared.pixels, frame=prepared.frame.index)
            if not window.complete:
                return None
            self._window = None
            return self._finish(window)
        except CalibrationError as error:
            self._window = None
            self._refuse(error)
            return None

    def _finish(self, window: Window) -> Candidate:
        identity, plan = self.identity, self._window_plan
        calibration = window.finish(
            camera=identity.camera,
            bundle_sha256=identity.bundle,
            engine=identity.engine,
            created_at=self._now(),
            who=plan.by,
        )
        self._store.save(calibration)
        if self._calibration is None and not plan.dry_run:
            self.activate(calibration, plan.by)
        return Candidate(calibration, plan)

    def _refuse(self, error: CalibrationError) -> None:
        """A window that cannot be used: say why, and try again with the next frames unless an older one is in force."""
        self.reason = str(error)
        camera = self.identity.camera
        log.warning("camera %s: calibration refused: %s", camera, error, extra={"camera": camera})
        if self._calibration is None:
            self._begin(self.plan)

    def _arm(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._rule = AlarmRule(calibration.rule)
        self._drift = DriftMonitor(calibration.score_reference)
        self._sight.arm(calibration)
        self._phase = self._phase_under(calibration)
        self.reason = None if calibration.threshold.certified else calibration.threshold.reason

    def _phase_under(self, calibration: Calibration) -> Phase:
        will_do = calibration.threshold.certified or not self.plan.require_certificate
        return Phase.ARMED if will_do else Phase.REFUSED
