"""What other threads may read of a station: its phase, its calibration, its alarms."""

from __future__ import annotations

from agent.alarms import DefectAlarm
from agent.core.records import Phase
from agent.inspection.calibrating import CameraCalibration, WindowProgress
from agent.inspection.calibration_plan import CalibrationPlan
from agent.inspection.camera_gate import CameraGate
from agent.inspection.frame_judge import FrameJudge
from agent.inspection.groups import Evidence
from agent.inspection.outcome import LastFrame
from agent.inspection.review import WindowToReview
from agent.parts import ByPresence, ByTrigger, Grouping, MissingParts, RateMeter
from calibration import Calibration, Store


class StationReadings:
    """The state of a station; the station itself changes it, on its own thread."""

    def __init__(
        self,
        calibration: CameraCalibration,
        gate: CameraGate,
        defect_alarm: DefectAlarm,
        grouping: Grouping[Evidence],
        missing: MissingParts,
    ) -> None:
        self._calibration = calibration
        self._gate = gate
        self._defect_alarm = defect_alarm
        self._grouping = grouping
        self._missing = missing
        self._rate = RateMeter()
        self._last_frame: LastFrame | None = None
        self._paused = False
        self.refused_product: str | None = None
        """Why no frame is judged as any product, one line; None while frames are judged."""

    @property
    def plan(self) -> CalibrationPlan:
        """How to calibrate, as in the settings."""
        return self._calibration.plan

    @property
    def store(self) -> Store:
        """Where this camera's calibrations are kept."""
        return self._calibration.store

    @property
    def phase(self) -> Phase:
        """The phase of inspection; whether the camera delivers frames is not known here."""
        if self._paused:
            return Phase.PAUSED
        if self.refused_product is not None:
            return Phase.NO_PRODUCT
        phase = self._calibration.phase
        return Phase.BLIND if phase is Phase.ARMED and self.blind_reason is not None else phase

    @property
    def reason(self) -> str | None:
        """Why the last window was rejected, why the threshold is not certified, that another rule is in force than the
        settings have, that the model was trained on other images, or that a person should look at the window; None
        otherwise."""
        return self.refused_product or self._overdue or self._calibration.reason

    @property
    def _overdue(self) -> str | None:
        """That something stays in view for longer than a part may, one line."""
        if not isinstance(self._grouping, ByPresence) or not self._grouping.overdue:
            return None
        return "a part does not leave the view: it stopped, parts touch, or the empty view has changed"

    @property
    def stopped_window(self) -> WindowToReview | None:
        """The window from which no threshold is taken before a person has looked at it."""
        return self._calibration.stopped_window

    @property
    def window_to_review(self) -> WindowToReview | None:
        """The window that was stopped, or the one in force as long as nobody has looked at it."""
        return self._calibration.window_to_review

    @property
    def calibration(self) -> Calibration | None:
        """The calibration in force."""
        return self._calibration.in_force

    @property
    def last_frame(self) -> LastFrame | None:
        """The frame that was scored last; None before the first."""
        return self._last_frame

    @property
    def progress(self) -> WindowProgress | None:
        """How far the window is filled; None where none is being filled."""
        return self._calibration.progress

    def rate_at(self, monotonic_seconds: float) -> float | None:
        """Rate at which frames arrive now; None before the second frame, and while the line has stopped."""
        return self._rate.rate_at(monotonic_seconds)

    @property
    def left_out(self) -> int:
        """Frames that were not judged although no alarm about the camera was active, since the agent started."""
        return self._gate.left_out

    @property
    def drifted(self) -> bool:
        """True while the scores of good parts differ from those of the calibration's window."""
        return self._judge is not None and self._judge.drifted

    @property
    def drift_shift(self) -> float:
        """Distance of the latest block of scores from the calibration's, in standard deviations of a good score."""
        return 0.0 if self._judge is None else self._judge.drift.shift

    @property
    def blind_reason(self) -> str | None:
        """The fault of the camera, in words, because of which frames are not judged; None while it is healthy."""
        alarm = self._gate.camera_alarm.active_alarm
        return None if alarm is None else alarm.reason

    @property
    def missing_reason(self) -> str | None:
        """That no part has been found for long, in words; None while parts are found, or none are looked for."""
        return self._missing.reason

    @property
    def waiting_triggers(self) -> int | None:
        """Parts that were announced and have no result yet; None for a camera without a trigger."""
        return self._grouping.waiting if isinstance(self._grouping, ByTrigger) else None

    @property
    def ready(self) -> bool | None:
        """Whether a trigger is accepted and judged now; None for a camera without a trigger."""
        return self.phase is Phase.ARMED and not self._grouping.full if isinstance(self._grouping, ByTrigger) else None

    @property
    def active_alarm_id(self) -> str | None:
        """Id of the active alarm; where both kinds are active, of the one about the camera. None where none is."""
        alarm = self._gate.camera_alarm.active_alarm or self._defect_alarm.active_alarm
        return None if alarm is None else alarm.id

    @property
    def _judge(self) -> FrameJudge | None:
        return self._calibration.judge
