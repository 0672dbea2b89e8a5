"""Decides whether a frame may be judged; holds back frames that might show a camera fault."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from agent.alarms import CameraAlarm, Condition, Observation
from agent.core.records import Alarm, AlarmEvent, Frame
from agent.inspection.frame_queue import PreparedFrame
from calibration import Calibration, CameraMonitor, Finding, SizeMonitor

log = logging.getLogger(__name__)

# Automatic exposure and white balance settle within one to two seconds of an opening. Light that is still unusual after
# this time is that of the line.
SETTLING_SECONDS = 3.0

# Exposure that overshoots passes through the usual light within a frame or two.
_SETTLED_FRAMES = 3


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a frame may be judged, and the alarm that it raised or cleared."""

    blind: bool
    """The frame must not be judged, at least not now: the camera is faulty or suspect."""
    alarm: Alarm | None = None
    """The alarm about the camera that this frame raised or cleared."""
    held: bool = False
    """The frame is held back: `release_held` returns it."""


HeldFrame = tuple[Frame, float, NDArray[np.float32]]
"""A frame, its score, and its raw heatmap [h, w]."""


class HeldFrames:
    """Frames held back while the camera is suspect: all scores, but only the frame with the highest.

    A second of large frames would take much memory. Where parts are known, which need a verdict each, all frames are
    kept, and the images of those that can raise an alarm.
    """

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.all: list[HeldFrame] = []
        """Every frame in its order, where parts are known; else empty."""
        self.hottest: HeldFrame | None = None
        """The frame with the highest score; None while no frame is held."""

    def add(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> None:
        """Hold one more frame back; `heatmap` is raw, [h, w], and is copied where it is kept."""
        self.scores.append(score)
        if self.hottest is None or score > self.hottest[1]:
            self.hottest = frame, score, heatmap.copy()

    def add_part(self, frame: Frame, score: float, heatmap: NDArray[np.float32], *, keep_image: bool) -> None:
        """Hold back a frame of a part; without its image unless `keep_image`."""
        kept = frame if keep_image else replace(frame, image=frame.image[:0], source=None)
        self.all.append((kept, score, heatmap.copy()))

    def extend(self, later: HeldFrames) -> None:
        """Hold back the frames that `later` holds as well."""
        self.scores += later.scores
        self.all += later.all
        if later.hottest is not None and (self.hottest is None or later.hottest[1] > self.hottest[1]):
            self.hottest = later.hottest

    def __len__(self) -> int:
        return len(self.scores) + len(self.all)


class CameraGate:
    """Watches one camera for faults while its frames are judged, and waits for its light to settle.

    A frame is held back while the camera is suspect, or until its light is usual after an opening. It is judged when
    the camera turns out to be healthy; otherwise it is counted in `left_out`.
    """

    def __init__(self, camera_alarm: CameraAlarm, *, parts_known: bool = False) -> None:
        """Args:
        camera_alarm: raises and clears the alarms about the camera.
        parts_known: frames show parts that need a verdict each: all frames held back are released, not only the
            hottest.
        """
        self.left_out = 0
        """Frames left out since the agent started, though no alarm about the camera was active: blank, in unusual light
        after an opening, or held back until the camera turned out to be faulty."""
        self._camera_alarm = camera_alarm
        self._parts_known = parts_known
        self._monitor: CameraMonitor | None = None
        self._size = SizeMonitor(None)
        self._resized = False
        self._held = HeldFrames()
        self._left_out_parts: list[HeldFrame] = []
        self._opening: int | None = None
        self._settling_since: float | None = None
        """Monotonic time of the first frame after the opening, seconds; None once the light has settled."""
        self._usual_frames = 0
        self._unusual = HeldFrames()
        """The newest frames in unusual light after an opening, all in the same light."""
        self._light = 1.0
        """Their light, as a share of the usual light."""
        self._left_out_before = 0
        """`left_out` at the opening."""

    def follow(self, other: CameraGate) -> None:
        """Watch the camera in place of another gate: it was opened before, and its light may have settled."""
        if other._opening is not None:
            self._opening, self._settling_since = other._opening, other._settling_since
        self._usual_frames, self._left_out_before = 0, self.left_out

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
        self.drop_held()
        self._monitor = CameraMonitor(calibration.camera_reference, rule_frames=calibration.rule.n)
        self._size = SizeMonitor(calibration.source)
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
        finding = self._resized_finding(prepared.frame) or self._finding(prepared)
        alarm = self._camera_alarm.update(_observe(prepared.frame, score, threshold), finding)
        self._watch_opening(prepared, fault_ended=alarm is not None and alarm.event is AlarmEvent.CLEARED)
        if self.faulty:
            self.drop_held()
            return GateDecision(blind=True, alarm=alarm)
        if finding is None and prepared.frame.not_found is not None:
            return GateDecision(blind=False, alarm=alarm, held=self._hold_without_part(prepared.frame, score, heatmap))
        held = self._settle(prepared, finding)
        # The frame that clears an alarm already carries that alarm; judging starts with the next one.
        if held is None and finding is None and alarm is None:
            return GateDecision(blind=False)
        held = self._held if held is None else held
        if finding is not None and finding.symptom.blank:
            # It shows no part.
            blank = HeldFrames()
            self._hold(blank, prepared.frame, score, heatmap, keep_image=False)
            self._leave_out(blank)
        else:
            self._hold(held, prepared.frame, score, heatmap, keep_image=score > threshold)
        return GateDecision(blind=True, alarm=alarm, held=True)

    def _hold(
        self, held: HeldFrames, frame: Frame, score: float, heatmap: NDArray[np.float32], *, keep_image: bool
    ) -> None:
        if self._parts_known:
            held.add_part(frame, score, heatmap, keep_image=keep_image)
        elif frame.not_found is None:
            held.add(frame, score, heatmap)

    def _finding(self, prepared: PreparedFrame) -> Finding | None:
        """What the image shows of the camera; without a part, only what any scene shows."""
        finding = None if self._monitor is None else self._monitor.check(prepared.glance)
        if finding is None or prepared.frame.not_found is None or finding.symptom.of_any_scene:
            return finding
        return None

    def _hold_without_part(self, frame: Frame, score: float, heatmap: NDArray[np.float32]) -> bool:
        """A frame without a part says nothing about focus and light.

        It only keeps its place behind frames that are held back; False where none is.
        """
        if not len(self._held) and not len(self._unusual):
            return False
        self._hold(self._held, frame, score, heatmap, keep_image=False)
        return True

    def _leave_out(self, held: HeldFrames) -> None:
        """Count frames that will not be judged, and keep those of parts without their images: a part has a result."""
        self.left_out += len(held)
        self._left_out_parts += [(replace(frame, image=frame.image[:0], source=None), s, h) for frame, s, h in held.all]

    def take_left_out(self) -> list[HeldFrame]:
        """The frames of parts that were left out since the last call, in no order."""
        taken, self._left_out_parts = self._left_out_parts, []
        return taken

    def _resized_finding(self, frame: Frame) -> Finding | None:
        """A size other than calibrated. The first such file is logged, since a single one raises no alarm."""
        finding = self._size.check(*frame.source_image.shape[:2])
        if finding is not None and frame.file is not None and not self._resized:
            log.warning("camera %s: %s: not judged: %s", frame.camera, ascii(frame.file.name)[1:-1], finding.reason)
        self._resized = finding is not None
        return finding

    def observe_unjudged(self, frame: Frame, score: float) -> Alarm | None:
        """Take in a frame that is not judged; several of them clear the alarm about a lost camera."""
        return self._camera_alarm.update(_observe(frame, score, None), None)

    def mark_lost(self, reason: str, observation: Observation) -> Alarm | None:
        """The camera delivers no frames: returns the alarm raised, or None where one is active already."""
        self.drop_held()
        return self._camera_alarm.mark_lost(reason, observation)

    def drop_held(self) -> None:
        """Discard the frames held back, and count them."""
        self._leave_out_unusual()
        self._leave_out(self.release_held())

    def release_held(self) -> HeldFrames:
        """Return the frames held back, often none, and hold them no longer."""
        released, self._held = self._held, HeldFrames()
        return released

    # Light that settles

    def _watch_opening(self, prepared: PreparedFrame, *, fault_ended: bool) -> None:
        """Wait for the usual light from the first frame of an opening, and after a fault: lamps and exposure settle."""
        opened = prepared.opening != self._opening
        self._opening = prepared.opening
        if opened:
            self._camera_alarm.restart_recovery()
        if prepared.opening is not None and (opened or fault_ended):
            self._leave_out_unusual()
            self._settling_since, self._usual_frames = prepared.frame.captured_monotonic, 0
            self._left_out_before = self.left_out

    def _settle(self, prepared: PreparedFrame, finding: Finding | None) -> HeldFrames | None:
        """Return where to hold a frame back while the light settles; None once it has settled."""
        if self._settling_since is None or self._monitor is None:
            return None
        light = self._monitor.light(prepared.glance)
        usual = light == 1.0 and (finding is None or not finding.symptom.settles)
        self._usual_frames = self._usual_frames + 1 if usual and finding is None else 0
        if self._usual_frames >= _SETTLED_FRAMES:
            self._end_settling(prepared.frame.camera)
            return None
        if not usual and abs(light - self._light) > self._monitor.light_spread * self._light:
            self._leave_out_unusual()
            self._light = light
        if prepared.frame.captured_monotonic - self._settling_since < SETTLING_SECONDS:
            return self._held if usual else self._unusual
        # The light is another than usual and does not change: that is for the camera check and the score to judge.
        self._unusual.extend(self._held)
        self._held, self._unusual = self._unusual, HeldFrames()
        self._end_settling(prepared.frame.camera)
        return None

    def _end_settling(self, camera: str) -> None:
        self._settling_since = None
        self._leave_out_unusual()
        left_out = self.left_out - self._left_out_before
        if left_out:
            log.info("camera %s: %d frames left out until its light was usual", camera, left_out)

    def _leave_out_unusual(self) -> None:
        self._leave_out(self._unusual)
        self._unusual = HeldFrames()


def _observe(frame: Frame, score: float, threshold: float | None) -> Observation:
    return Observation(frame.captured_at, frame.captured_monotonic, frame.index, score, threshold)
