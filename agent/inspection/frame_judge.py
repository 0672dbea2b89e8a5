"""Judges frames by one calibration: camera check, alarm rule, drift, defect alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.alarms import DefectAlarm, RuleWatch
from agent.core.records import Frame, Verdict
from agent.inspection.camera_gate import CameraGate, HeldFrames
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Outcome
from calibration import AlarmRule, Calibration, Drift, DriftMonitor


class FrameJudge:
    """Judges the frames of one camera for as long as one calibration is in force."""

    def __init__(
        self, calibration: Calibration, gate: CameraGate, defect_alarm: DefectAlarm, *, frame_is_part: bool
    ) -> None:
        """Args:
        calibration: threshold, alarm rule, and references of scores and images.
        gate: the camera's; from now on it compares images with those of this calibration.
        defect_alarm: the camera's.
        frame_is_part: each frame shows another part, which gets a verdict and an alarm of its own.
        """
        self.calibration = calibration
        self._gate = gate
        self._defect_alarm = defect_alarm
        self._frame_is_part = frame_is_part
        self._rule = AlarmRule(calibration.rule)
        self._rule_watch = RuleWatch(calibration.rule.n)
        self._passed_by_rule = 0
        self._drift = DriftMonitor(calibration.score_reference)
        gate.use(calibration)

    @property
    def drift(self) -> Drift:
        """Drift of the scores of good parts, and whether it is flagged."""
        return self._drift.drift

    @property
    def drifted(self) -> bool:
        """True while drift is flagged."""
        return self._drift.flag

    def judge(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        """Judge the next frame by its score and raw heatmap float32 [h, w].

        The camera is checked first: a black image scores high too, and says nothing about the part.
        """
        frame = prepared.frame
        decision = self._gate.check(prepared, score, heatmap, self.calibration.threshold.value)
        if self._gate.faulty:
            self.reset_history()
        if decision.blind:
            alarms = () if decision.alarm is None else (decision.alarm,)
            return Outcome(frame, score, alarms=alarms, passed_by_rule=self._take_passed(), blind=True)
        late = self._judge_held(self._gate.release_held())
        statistic = self._rule.update(score)
        drift = self._update_drift(score)
        return replace(self._outcome(frame, score, statistic, heatmap), drift=drift, late=late)

    def reset_history(self) -> None:
        """Frames were not judged for a while: earlier frames no longer count for the alarm rule or the quiet time."""
        self._gate.drop_held()
        self.reset_rule()
        self._defect_alarm.restart_quiet_time()

    def reset_rule(self) -> None:
        """Forget the scores that the alarm rule counts."""
        self._rule.reset()
        self._passed_by_rule += self._rule_watch.reset()

    def _judge_held(self, held: HeldFrames) -> tuple[Outcome, ...]:
        """The outcomes of the frames that were held back: one for each part, else one for all of them, reported for
        the frame with the highest score."""
        if self._frame_is_part:
            return tuple(self._outcome(frame, score, self._rule.update(score), heat) for frame, score, heat in held.all)
        if held.hottest is None:
            return ()
        statistic = max(self._rule.update(score) for score in held.scores)
        frame, score, heatmap = held.hottest
        return (self._outcome(frame, score, statistic, heatmap),)

    def _outcome(self, frame: Frame, score: float, statistic: float, heatmap: NDArray[np.float32]) -> Outcome:
        calibration = self.calibration
        verdict = Verdict(frame, score, statistic, calibration.threshold.value, calibration.heat(heatmap))
        # A rule of several frames fires on the frames after a bad part too: those are no alarms of their own.
        another_part = self._frame_is_part and calibration.rule.n == 1
        alarms = self._defect_alarm.update(verdict, another_part=another_part)
        alarmed = self._defect_alarm.active_alarm is not None
        self._passed_by_rule += self._rule_watch.update(score > verdict.threshold, alarmed)
        return Outcome(frame, score, verdict, alarms, self._take_passed())

    def _take_passed(self) -> int:
        passed, self._passed_by_rule = self._passed_by_rule, 0
        return passed

    def _update_drift(self, score: float) -> Drift | None:
        """The drift, where this score changes its flag."""
        before = self._drift.flag
        return None if self._drift.update(score) == before else self._drift.drift
