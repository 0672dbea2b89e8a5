"""Judges frames by one calibration: camera check, alarm rule, drift, defect alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agent.alarms import DefectAlarm
from agent.core.records import Frame, Verdict
from agent.inspection.camera_gate import CameraGate, HeldFrames
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.outcome import Outcome
from calibration import AlarmRule, Calibration, Drift, DriftMonitor


class FrameJudge:
    """Judges the frames of one camera for as long as one calibration is in force."""

    def __init__(self, calibration: Calibration, gate: CameraGate, defect_alarm: DefectAlarm) -> None:
        """Args:
        calibration: threshold, alarm rule, and references of scores and images.
        gate: the camera's; from now on it compares images with those of this calibration.
        defect_alarm: the camera's.
        """
        self.calibration = calibration
        self._gate = gate
        self._defect_alarm = defect_alarm
        self._rule = AlarmRule(calibration.rule)
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
            return Outcome(frame, score, alarm=decision.alarm, blind=True)
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

    def _judge_held(self, held: HeldFrames) -> Outcome | None:
        """One outcome for all frames that were held back, reported for the one with the highest score."""
        if held.hottest is None:
            return None
        statistic = max(self._rule.update(score) for score in held.scores)
        frame, score, heatmap = held.hottest
        return self._outcome(frame, score, statistic, heatmap)

    def _outcome(self, frame: Frame, score: float, statistic: float, heatmap: NDArray[np.float32]) -> Outcome:
        calibration = self.calibration
        verdict = Verdict(frame, score, statistic, calibration.threshold.value, calibration.heat(heatmap))
        return Outcome(frame, score, verdict, self._defect_alarm.update(verdict))

    def _update_drift(self, score: float) -> Drift | None:
        """The drift, where this score changes its flag."""
        before = self._drift.flag
        return None if self._drift.update(score) == before else self._drift.drift
