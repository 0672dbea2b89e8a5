"""Decides whether a frame may be judged; holds back frames that might show a camera fault."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, Condition, Observation
from agent.core.records import Alarm, Frame
from agent.inspection.frame_queue import PreparedFrame
from calibration import Calibration, CameraMonitor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a frame may be judged, and the alarm that it raised or cleared."""

    blind: bool
    """The frame must not be judged, at least not now: the camera is faulty or suspect."""
    alarm: Alarm | None = None
    """The alarm about the camera that this frame raised or cleared."""


HeldFrame = tuple[Frame, float, NDArray[np.float32]]
"""A frame, its score, and its raw heatmap [h, w]."""


class HeldFrames:
    """Frames held back while the camera is suspect: all scores, but only the frame with the highest.

    A second of large frames would take much memory. Where each frame is a part, which needs a verdict of its own, all
    frames are kept, and the images of those that can raise an alarm.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.all: list[HeldFrame] = []
        """Every frame in its order, where each is a part; else empty."""
        self.hottest: HeldFrame | None = None
        """The frame with the highest score; None while no frame is held."""

    def add(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> None:
        """Hold one more frame back; `heatmap` is raw, [h, w], and is copied where it is kept."""
        self.scores.append(score)
        if self.hottest is None or score > self.hottest[1]:
            self.hottest = frame, score, heatmap.copy()

    def add_part(self, frame: Frame, score: float, heatmap: NDArray[np.float32], *, keep_image: bool) -> None:
        """Hold back a frame that is a part; without its image unless `keep_image`."""
        kept = frame if keep_image else replace(frame, image=frame.image[:0], source=None)
        self.all.append((kept, score, heatmap.copy()))


class CameraGate:
    """Watches one camera for faults while its frames are judged."""

    def __init__(self, camera_alarm: CameraAlarm, *, frame_is_part: bool = False) -> None:
        """Args:
        camera_alarm: raises and clears the alarms about the camera.
        frame_is_part: each frame shows another part; all those held back are released, not only the hottest.
        """
        self._camera_alarm = camera_alarm
        self._frame_is_part = frame_is_part
        self._monitor: CameraMonitor | None = None
        self._held = HeldFrames()

    @property
    def faulty(self) -> bool:
        """True while an alarm about the camera is active."""
        return self._camera_alarm.condition is Condition.FAULTY

    @property
    def camera_alarm(self) -> CameraAlarm:
        """The alarm about the camera."""
        return self._camera_alarm

    def use(self, calibration: Calibration) -> None:
        """Compare images with those of this calibration's window from now on."""
        self._held = HeldFrames()
        self._monitor = CameraMonitor(calibration.camera_reference)
        if calibration.camera_reference.view is None:
            log.info("camera %s: recalibrate to have blur and shift detected", calibration.camera)

    def check(
        self, prepared: PreparedFrame, score: float, heatmap: NDArray[np.float32], threshold: float
    ) -> GateDecision:
        """Check the next frame for camera faults and decide whether it may be judged.

        Args:
            prepared: the frame and its measures.
            score: its latent distance, ≥ 0.
            heatmap: raw, float32 [h, w].
            threshold: the threshold in force.
        """
        finding = None if self._monitor is None else self._monitor.check(prepared.glance)
        alarm = self._camera_alarm.update(_observe(prepared.frame, score, threshold), finding)
        if self.faulty:
            self._held = HeldFrames()
            return GateDecision(blind=True, alarm=alarm)
        if finding is not None and not finding.symptom.blank:
            # It may be a defect: judge it later if the camera turns out to be healthy. A blank image shows no part.
            if self._frame_is_part:
                self._held.add_part(prepared.frame, score, heatmap, keep_image=score > threshold)
            else:
                self._held.add(prepared.frame, score, heatmap)
        # The frame that clears an alarm already carries that alarm; judging starts with the next one.
        return GateDecision(blind=finding is not None or alarm is not None, alarm=alarm)

    def observe_unjudged(self, frame: Frame, score: float) -> Alarm | None:
        """Take in a frame that is not judged; several of them clear the alarm about a lost camera."""
        return self._camera_alarm.update(_observe(frame, score, None), None)

    def mark_lost(self, reason: str, observation: Observation) -> Alarm | None:
        """The camera delivers no frames: returns the alarm raised, or None where one is active already."""
        self.drop_held()
        return self._camera_alarm.mark_lost(reason, observation)

    def drop_held(self) -> None:
        """Discard the frames held back."""
        self._held = HeldFrames()

    def release_held(self) -> HeldFrames:
        """Return the frames held back, often none, and hold them no longer; for when the camera is healthy."""
        released, self._held = self._held, HeldFrames()
        return released


def _observe(frame: Frame, score: float, threshold: float | None) -> Observation:
    return Observation(frame.captured_at, frame.captured_monotonic, frame.index, score, threshold)
