"""One camera: from the scores of its frames to a calibration, verdicts and alarms."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, DefectAlarm, Observation
from agent.core.errors import InspectdError
from agent.core.records import PAUSED, PRODUCT_CHANGED, Alarm, Frame, NotJudged, Part, Phase
from agent.inspection.calibrating import CameraCalibration, WindowFile
from agent.inspection.calibration_plan import CalibrationKey, CalibrationPlan
from agent.inspection.camera_gate import CameraGate
from agent.inspection.frame_queue import PreparedFrame
from agent.inspection.groups import Admission, Evidence, combine, missing, part_of, shot_of
from agent.inspection.outcome import Candidate, LastFrame, Left, Outcome
from agent.inspection.station_readings import StationReadings
from agent.parts import ByCount, ByTrigger, Group, Grouping, MissingParts, SingleFrames
from calibration import Calibration, Store, TrainingScores

log = logging.getLogger(__name__)

# A camera's frame rate is measured on its first frames, before the window starts; a new stream also needs a moment for
# its exposure to settle.
SETTLING_FRAMES = 20


class Station(StationReadings):
    """Takes the scores of one camera's frames, in order: fills a window, calibrates, judges, raises and clears alarms.

    It has no thread and no clock, and does no I/O except on its calibration store. One thread drives it; its
    properties may be read from any thread.
    """

    def __init__(
        self,
        identity: CalibrationKey,
        plan: CalibrationPlan,
        store: Store,
        defect_alarm: DefectAlarm,
        camera_alarm: CameraAlarm,
        *,
        training: TrainingScores | None = None,
        now: Callable[[], datetime],
        grouping: Grouping[Evidence] | None = None,
        window_file: WindowFile | None = None,
    ) -> None:
        """Args:
        identity: camera, bundle and engine; a stored calibration is used only where it was made for exactly these.
        plan: how to calibrate where none is stored.
        store: where this camera's calibrations are kept.
        defect_alarm: raises and clears the alarms about parts.
        camera_alarm: raises and clears the alarms about the camera.
        training: the scores that the bundle is known to give; None: not known.
        now: wall clock, UTC, for the records of calibrations and for alarms without a frame.
        grouping: which frames show the same part; None: each frame is a part, or parts are not known, as in the plan.
        window_file: keeps the window over a restart; None: it is in memory only.
        """
        gate = CameraGate(camera_alarm, parts_known=plan.parts_known)
        calibration = CameraCalibration(
            identity, plan, store, training, now=now, gate=gate, defect_alarm=defect_alarm, window_file=window_file
        )
        grouping = grouping or (ByCount(1) if plan.parts_known else SingleFrames())
        super().__init__(calibration, gate, defect_alarm, grouping, MissingParts(identity.camera))
        self.identity = identity
        self._now = now
        self._last_index = 0

    # Commands, between two frames

    def pause(self, monotonic_seconds: float) -> list[Alarm]:
        """Stop judging frames; they are still scored. Returns the active alarms, now cleared.

        Their causes might disappear unnoticed during the pause. Where a cause remains after `resume`, a new alarm is
        raised.
        """
        self._paused = True
        self._reset_history()
        cleared = self._gate.camera_alarm.end(PAUSED, self._observe_no_frame(monotonic_seconds))
        ended = self._end_defect_alarm(PAUSED, monotonic_seconds)
        return ended if cleared is None else [cleared, *ended]

    def resume(self) -> None:
        """Judge frames again."""
        self._paused = False

    @property
    def between_parts(self) -> bool:
        """Whether no part is incomplete, and no trigger waits for its result."""
        return self._grouping.between_parts

    def refuse_product(self, reason: str | None, monotonic_seconds: float) -> list[Alarm]:
        """Judge no frames, since it is not known as what; None: judge them again. Returns alarms that this clears."""
        self.refused_product = reason
        self._reset_history()
        return self._end_defect_alarm(PRODUCT_CHANGED, monotonic_seconds)

    def leave(self, monotonic_seconds: float) -> Left:
        """Another station follows, for another product: returns what is left of this one."""
        ended = self._end_parts()
        self._calibration.window.keep(wait=False)
        return Left(ended, self._end_defect_alarm(PRODUCT_CHANGED, monotonic_seconds))

    def enter(self, previous: Station) -> None:
        """Judge the next frames of the camera, in place of the station of another product."""
        self._paused, self.refused_product = previous._paused, None
        self._last_index = previous._last_index
        self._gate.follow(previous._gate)
        self._reset_history()
        self._defect_alarm.clear_after_seconds = self.plan.clear_after_seconds

    def recalibrate(self, plan: CalibrationPlan) -> None:
        """Start a new window; the threshold in force stays. Raises InspectdError while a window is being filled."""
        self._calibration.require_idle()
        self._calibration.start_window(plan, self._rate.frames_per_second)

    def decide(self, only: Collection[int] | None, by: str) -> Calibration | None:
        """As `CameraCalibration.decide`."""
        return self._calibration.decide(only, by, self._rate.frames_per_second)

    def cancel(self) -> None:
        """Discard the new window. Raises InspectdError where there is none, or no calibration is in force."""
        self._calibration.cancel()

    def activate(self, calibration: Calibration, by: str) -> None:
        """Put a stored calibration in force, now and after a restart; `by` is recorded."""
        self._calibration.activate(calibration, by)

    def roll_back(self, to: str | None, by: str) -> Calibration:
        """As `CameraCalibration.roll_back`: put the calibration with id `to` in force again, or the previous one."""
        return self._calibration.roll_back(to, by)

    def adopt(self, plan: CalibrationPlan) -> None:
        """Take over new settings: quiet time and certificate at once, the rest with the next calibration."""
        self._calibration.adopt(plan)

    # Frames

    def judge(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Outcome:
        """Take in the next frame, its score and its raw heatmap float32 [h, w]; returns everything that follows."""
        frame = prepared.frame
        self._last_index = frame.index
        self._rate.update(frame.captured_monotonic)
        self._missing.observe(frame)
        admission = self._admit(prepared, score, heatmap)
        groups = [group for shot in admission.shots for group in self._grouping.add(shot)]
        outcome = combine(frame, score, admission, [self._end(group) for group in groups])
        statistic = None if outcome.verdict is None else outcome.verdict.statistic
        shown = heatmap if frame.not_found is None else np.zeros_like(heatmap)
        self._last_frame = LastFrame(frame, score, statistic, shown, self.calibration)
        return outcome

    def tick(self, now_monotonic: float, *, frame_waits: bool = False) -> list[Outcome | Part]:
        """Time has passed, in seconds: returns the outcomes of parts that ended without a new frame.

        `frame_waits`: one waits to be inspected, which may have been captured in time.
        """
        if frame_waits and not isinstance(self._grouping, ByTrigger):
            return []
        return [self._end(group) for group in self._grouping.tick(now_monotonic)]

    def finish(self) -> list[Outcome | Part]:
        """No more frames follow: returns the outcomes of the last parts. Their alarms end with them."""
        ended = self._end_parts()
        last = self._last_frame
        if last is not None and self._judge is not None:
            ended += self._judge.end_last_alarm(last.frame, last.score)
        self._calibration.window.keep()
        return ended

    def trigger(self, part: str, monotonic_seconds: float) -> int:
        """A part is announced: the next frames show it; returns how many triggers wait before it.

        Raises InspectdError where the camera is not triggered, Temporary where too many triggers wait.
        """
        if not isinstance(self._grouping, ByTrigger):
            camera = self.identity.camera
            raise InspectdError(f"camera {camera} has no trigger; wanted parts = {{ trigger = true }} in its settings")
        return self._grouping.trigger(part, self._now(), monotonic_seconds)

    def mark_camera_lost(self, reason: str, monotonic_seconds: float) -> Alarm | None:
        """The camera delivers no frames: returns the alarm raised, or None where one is active or inspection paused."""
        if self._paused:
            return None
        self._reset_history()
        return self._gate.mark_lost(reason, self._observe_no_frame(monotonic_seconds))

    def _admit(self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32]) -> Admission:
        if self._paused:
            return Admission([shot_of(prepared, score, heatmap, NotJudged.PAUSED, usable=False)])
        if self.refused_product is not None:
            shot = shot_of(prepared, score, heatmap, NotJudged.NO_PRODUCT, usable=False)
            return Admission([shot], self._gate.observe_unjudged(prepared.frame, score))
        if self._judge is not None and self._calibration.phase is Phase.ARMED:
            whole = self._grouping.shows_whole_part(prepared.frame)
            admit = self._judge.admit if whole else self._judge.admit_unchecked
            return admit(prepared, score, heatmap)
        settling = self._calibration.phase is Phase.STARTING and not self._settle(prepared.frame)
        reason = NotJudged.UNCERTIFIED if self._calibration.phase is Phase.REFUSED else NotJudged.CALIBRATING
        shot = shot_of(prepared, score, heatmap, missing(prepared.frame) or reason, usable=not settling)
        return Admission([shot], self._gate.observe_unjudged(prepared.frame, score))

    def _settle(self, frame: Frame) -> bool:
        """Start the window once the camera has settled. True where this frame belongs to it: files need not settle."""
        if frame.file is None and self._rate.count < SETTLING_FRAMES:
            return False
        self._calibration.start_first_window(self._rate.frames_per_second)
        return frame.file is not None

    def _settles(self, frame: Frame) -> bool:
        """After a restart, a camera needs a moment for its exposure before a window continues."""
        return self._calibration.window.resumed and frame.file is None and self._rate.count < SETTLING_FRAMES

    def _end(self, group: Group[Evidence]) -> Outcome | Part:
        """A part has ended, or a frame where parts are not known: judge it, and offer it to the window."""
        shown = group.judged or group.highest
        if shown is None:
            return part_of(group, None, self.identity.camera, self.calibration)
        self._calibration.window.observe(group.started_monotonic)
        if group.judged is not None and self._judge is not None:
            outcome = self._judge.judge(group.judged)
        else:
            outcome = Outcome(shown.frame, shown.score, blind=group.reason is NotJudged.BLIND)
        if group.part is not None:
            outcome = replace(outcome, part=part_of(group, outcome, self.identity.camera, self.calibration))
        if self._calibration.window.running:
            outcome = replace(outcome, candidate=self._offer_to_window(group, outcome))
        return outcome

    def _end_parts(self) -> list[Outcome | Part]:
        """The outcomes of the parts that are not complete, and of the frames of parts that are held back."""
        self._reset_history()
        ended: list[Outcome | Part] = []
        if self._judge is not None and self.plan.parts_known:
            ended = [self._end(group) for shot in self._judge.released() for group in self._grouping.add(shot)]
        return ended + [self._end(group) for group in self._grouping.finish()]

    def _reset_history(self) -> None:
        if self._judge is not None:
            self._judge.reset_history()

    def _end_defect_alarm(self, reason: str, monotonic_seconds: float) -> list[Alarm]:
        observation = self._observe_no_frame(monotonic_seconds)
        if observation.threshold is None:
            return []
        cleared = self._defect_alarm.end(observation.captured_at, observation.frame, observation.threshold, reason)
        return [] if cleared is None else [cleared]

    def _observe_no_frame(self, monotonic_seconds: float) -> Observation:
        threshold = None if self.calibration is None else self.calibration.threshold.value
        return Observation(self._now(), monotonic_seconds, self._last_index, 0.0, threshold)

    # The window

    def _offer_to_window(self, group: Group[Evidence], outcome: Outcome) -> Candidate | None:
        """Add a part, or a frame where parts are not known, to the window unless it is anomalous or not usable."""
        shot, verdict = group.usable, outcome.verdict
        if shot is None or shot.evidence.prepared is None or self._settles(shot.frame):
            return None
        return self._calibration.offer(
            shot.evidence.prepared,
            shot.score,
            shot.evidence.heatmap,
            anomalous=verdict is not None and verdict.anomalous,
            measured_frames_per_second=self._rate.frames_per_second,
            first_score=group.first_score,
        )
