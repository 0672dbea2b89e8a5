"""Can the camera be believed? Each frame is asked before its part is judged; what is doubtful waits for the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, Condition, Moment
from agent.core.records import Alarm, Frame
from agent.inspection.frame_queue import PreparedFrame
from calibration import Calibration, CameraMonitor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What a frame says of its camera."""

    blind: bool
    """The frame may not be judged, now or ever."""
    alarm: Alarm | None = None
    """What it raised or cleared."""


class HeldFrames:
    """Keeps every score, but only the frame that stands out: a second of large frames is much memory."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.hottest: tuple[Frame, float, NDArray[np.float32]] | None = None

    def add(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> None:
        """Hold one more back."""
        self.scores.append(score)
        if self.hottest is None or score > self.hottest[1]:
            self.hottest = frame, score, heatmap.copy()


class CameraGate:
    """Watches one camera while its frames are judged."""

    def __init__(self, health: CameraAlarm) -> None:
        """Args: health: raises and clears the alarms about the camera."""
        self._health = health
        self._monitor: CameraMonitor | None = None
        self._held = HeldFrames()

    @property
    def sick(self) -> bool:
        """True while an alarm about the camera stands."""
        return self._health.condition is Condition.SICK

    @property
    def health(self) -> CameraAlarm:
        """What is thought of the camera."""
        return self._health

    def arm(self, calibration: Calibration) -> None:
        """Hold the pictures against what this calibration saw."""
        self._held = HeldFrames()
        self._monitor = CameraMonitor(calibration.camera_reference)
        if calibration.camera_reference.view is None:
            log.info("camera %s: recalibrate to have blur and shift noticed", calibration.camera)

    def look(
        self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32], threshold: float
    ) -> GateDecision:
        """Take in the next frame, its score and raw heatmap [h, w]: whether it may be judged."""
        frame = prepared.frame
        finding = None if self._monitor is None else self._monitor.check(prepared.glance)
        moment = Moment(frame.captured_at, frame.captured_monotonic, frame.index, score, threshold)
        alarm = self._health.update(moment, finding)
        if self.sick:
            self._held = HeldFrames()
            return GateDecision(blind=True, alarm=alarm)
        if finding is not None and not finding.symptom.blank:
            # Wait and see; a picture that says nothing of the part is not worth the wait.
            self._held.add(frame, score, heatmap)
        # With the frame that clears an alarm judging is still to begin: it carries that alarm.
        return GateDecision(blind=finding is not None or alarm is not None, alarm=alarm)

    def lose(self, reason: str, moment: Moment) -> Alarm | None:
        """No frames come any more: the alarm, unless one stands."""
        self._held = HeldFrames()
        return self._health.lose(reason, moment)

    def see(self, frame: Frame, score: float) -> Alarm | None:
        """Take in a frame that nobody judges: a camera that was lost is back after some of them."""
        return self._health.update(Moment(frame.captured_at, frame.captured_monotonic, frame.index, score, None), None)

    def forget(self) -> None:
        """Nobody looks any more: what was held back is let go."""
        self._held = HeldFrames()

    def release(self) -> HeldFrames:
        """Hand over what was held back for a camera that turned out to be well; often nothing."""
        released, self._held = self._held, HeldFrames()
        return released
