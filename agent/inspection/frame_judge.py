"""Judges frames by one calibration: camera check, alarm rule, drift, defect alarm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.alarms import DefectAlarm, RuleWatch
from agent.core.records import Frame, NotJudged, Verdict
from agent.inspection.camera_gate import CameraGate
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.groups import Admission, Evidence, missing, shot_of
from agent.inspection.outcome import Outcome
from agent.parts import Shot
from calibration import AlarmRule, Calibration, Drift, DriftMonitor
from engines.images import cut_heat


class FrameJudge:
    """Judges the frames or the parts of one camera for as long as one calibration is in force."""

    def __init__(
        self, calibration: Calibration, gate: CameraGate, defect_alarm: DefectAlarm, *, parts_known: bool
    ) -> None:
        """Args:
        calibration: threshold, alarm rule, and references of scores and images.
        gate: the camera's; from now on it compares images with those of this calibration.
        defect_alarm: the camera's.
        parts_known: each verdict is about another part, and gets an alarm of its own.
        """
        self.calibration = calibration
        self._gate = gate
        self._defect_alarm = defect_alarm
        self._parts_known = parts_known
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

    @property
    def alarm_per_part(self) -> bool:
        """Whether each bad part raises an alarm of its own, which the next part clears.

        A rule of several parts fires on the parts after a bad one too: those are no alarms of their own.
        """
        return self._parts_known and self.calibration.rule.n == 1 and self._defect_alarm.clear_after_seconds == 0

    def admit(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Admission:
        """Check the camera with the next frame, its score and its raw heatmap float32 [h, w]; judges nothing yet.

        The camera comes first: a black image scores high too, and says nothing about the part.
        """
        faulty_before = self._gate.faulty
        decision = self._gate.check(prepared, score, heatmap, self.calibration.threshold.value)
        if self._gate.faulty:
            self.reset_history()
        if decision.held:
            return Admission([], decision.alarm, decision.blind, self._take_passed())
        shots = self.released()
        if decision.blind:
            # After a camera was moved on purpose, a recalibration needs its frames; it rejects black ones itself.
            usable = faulty_before and self._gate.faulty
            shots.append(shot_of(prepared, score, heatmap, NotJudged.BLIND, usable=usable))
        else:
            shots.append(shot_of(prepared, score, heatmap))
        return Admission(shots, decision.alarm, decision.blind, self._take_passed())

    def admit_unchecked(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Admission:
        """A frame that does not show a whole part: the camera check compares images of whole parts only."""
        self._gate.drop_held()
        shots = self.released()
        reason = NotJudged.BLIND if self._gate.faulty else None
        alarm = self._gate.observe_unjudged(prepared.frame, score)
        shots.append(shot_of(prepared, score, heatmap, reason, usable=False))
        return Admission(shots, alarm, self._gate.faulty, self._take_passed())

    def judge(self, shot: Shot[Evidence]) -> Outcome:
        """Judge a frame, which may stand for a whole part."""
        scores = shot.scores or (shot.score,)
        statistic = max(self._rule.update(score) for score in scores)
        # One of several frames is the highest of them, which is no usual score.
        drift = self._update_drift(shot.score) if len(scores) == 1 else None
        calibration = self.calibration
        heat = cut_heat(calibration.heat(shot.evidence.heatmap), shot.frame.content)
        verdict = Verdict(shot.frame, shot.score, statistic, calibration.threshold.value, heat)
        alarms = self._defect_alarm.update(verdict, another_part=self.alarm_per_part)
        active = self._defect_alarm.active_alarm
        self._passed_by_rule += self._rule_watch.update(shot.score > verdict.threshold, active is not None)
        return Outcome(
            shot.frame,
            shot.score,
            verdict,
            alarms,
            self._take_passed(),
            drift=drift,
            active_alarm=None if active is None else active.id,
        )

    def end_last_alarm(self, frame: Frame, score: float) -> list[Outcome]:
        """No more parts follow `frame`, the last one: an alarm of its own part ends with it."""
        if not self.alarm_per_part:
            return []
        cleared = self._defect_alarm.end(frame.captured_at, frame.index, self.calibration.threshold.value, None)
        return [] if cleared is None else [Outcome(frame, score, alarms=(cleared,), single=False)]

    def reset_history(self) -> None:
        """Frames were not judged for a while: earlier frames no longer count for the alarm rule or the quiet time."""
        self._gate.drop_held()
        self.reset_rule()
        self._defect_alarm.restart_quiet_time()

    def reset_rule(self) -> None:
        """Forget the scores that the alarm rule counts."""
        self._rule.reset()
        self._passed_by_rule += self._rule_watch.reset()

    def released(self) -> list[Shot[Evidence]]:
        """The frames that were held back or left out, in the order of capture: each of them where parts are known, else
        one that stands for all that were held back."""
        held = self._gate.release_held()
        shots = [
            Shot(frame, score, reason or missing(frame), False, Evidence(heat))
            for reason, frames in ((None, held.all), (NotJudged.BLIND, self._gate.take_left_out()))
            for frame, score, heat in frames
        ]
        if self._parts_known or held.hottest is None:
            return sorted(shots, key=lambda shot: shot.frame.index)
        frame, score, heatmap = held.hottest
        return [Shot(frame, score, None, False, Evidence(heatmap), tuple(held.scores))]

    def _take_passed(self) -> int:
        passed, self._passed_by_rule = self._passed_by_rule, 0
        return passed

    def _update_drift(self, score: float) -> Drift | None:
        """The drift, where this score changes its flag."""
        before = self._drift.flag
        return None if self._drift.update(score) == before else self._drift.drift
