"""From findings about single pictures to an alarm about the camera: named when they last, over when they are gone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from agent.alarms.defect_alarm import ActiveAlarm
from agent.core.records import Alarm, AlarmEvent, AlarmKind
from calibration import Finding, Symptom

log = logging.getLogger(__name__)

# A picture without light has nothing else to it. The other symptoms might be a few strange parts in a row, so they have
# to outlast some: twenty frames at 20 frames/s.
_NAMED_AFTER_SECONDS = {Symptom.BLACK: 0.5, Symptom.SATURATED: 0.5}
_NAMED_AFTER_DEFAULT_SECONDS = 1.0

# A camera that comes and goes is not well in between.
_WELL_AFTER_SECONDS = 0.5

# However slow the line is, so many frames are looked at before anything is said.
_LEAST_FRAMES = 4

# Sums of frame intervals are compared with round numbers.
_ROUNDING_SECONDS = 1e-6


class Condition(Enum):
    """What is thought of the camera."""

    WELL = "well"
    SUSPECT = "suspect"
    """The last frames were strange, too few of them for a word."""
    SICK = "sick"
    """An alarm stands; no part is judged."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was found, as the alarm tells it."""

    captured_at: datetime
    """UTC."""
    monotonic: float
    """The same, seconds."""
    frame: int
    """Index of the frame; of the last one where none came."""
    score: float
    """Its latent distance; 0 where none came."""
    threshold: float | None
    """The threshold in force; None before there is one."""


class CameraAlarm:
    """Raises one alarm when a camera falls sick and clears it when it is well. Pure; its state survives a restart."""

    def __init__(self, camera: str, new_id: Callable[[], str], open_alarm: ActiveAlarm | None = None) -> None:
        """Args:
        camera: its name.
        new_id: makes the id of a new alarm.
        open_alarm: the one that stood when the agent was stopped.
        """
        self._camera = camera
        self._new_id = new_id
        self._open = open_alarm
        self._symptom: Symptom | None = None
        self._seconds = 0.0
        """For how long frames have been strange or, in a sick camera, well again; each at most its share of frames."""
        self._last: float | None = None

    @property
    def condition(self) -> Condition:
        """What is thought of the camera now."""
        if self._open is not None:
            return Condition.SICK
        return Condition.SUSPECT if self._symptom is not None else Condition.WELL

    @property
    def open_alarm(self) -> ActiveAlarm | None:
        """The alarm that stands, if one does."""
        return self._open

    def update(self, moment: Moment, finding: Finding | None) -> Alarm | None:
        """Take in what was found in the next frame; what it raises or clears, if anything."""
        passed = 0.0 if self._last is None else max(0.0, moment.monotonic - self._last)
        self._last = moment.monotonic
        if self._open is None:
            return self._suspect(moment, finding, passed)
        return self._recover(moment, finding, passed)

    def lose(self, reason: str, moment: Moment) -> Alarm | None:
        """No frames come any more; the alarm, unless one stands."""
        self._seconds = 0.0
        return None if self._open is not None else self._raise(f"lost: {reason}", moment)

    def end(self, reason: str, moment: Moment) -> Alarm | None:
        """Clear the alarm that stands, if one does, though the camera is not well: nobody looks any more."""
        if self._open is None:
            return None
        over = replace(self._open, reason=reason)
        self._open, self._symptom, self._seconds = None, None, 0.0
        return self._alarm(AlarmEvent.CLEARED, over, moment, over.highest_score)

    def _suspect(self, moment: Moment, finding: Finding | None, passed: float) -> Alarm | None:
        self._symptom = None if finding is None else finding.symptom
        if finding is None:
            # Every second picture black is a sick camera too: what is strange counts twice as much as what is well.
            self._seconds = max(0.0, self._seconds - 0.5 * min(passed, _NAMED_AFTER_DEFAULT_SECONDS / _LEAST_FRAMES))
            return None
        patience = _NAMED_AFTER_SECONDS.get(finding.symptom, _NAMED_AFTER_DEFAULT_SECONDS)
        self._seconds += min(passed, patience / _LEAST_FRAMES)
        return None if self._seconds < patience - _ROUNDING_SECONDS else self._raise(finding.reason, moment)

    def _recover(self, moment: Moment, finding: Finding | None, passed: float) -> Alarm | None:
        assert self._open is not None
        highest = max(self._open.highest_score, moment.score)
        if finding is not None:
            reason = finding.reason if finding.symptom is not self._symptom else self._open.reason
            self._open, self._symptom, self._seconds = ActiveAlarm(self._open.id, highest, reason), finding.symptom, 0.0
            return None
        self._seconds += min(passed, _WELL_AFTER_SECONDS / _LEAST_FRAMES)
        return None if self._seconds < _WELL_AFTER_SECONDS - _ROUNDING_SECONDS else self._clear(moment, highest)

    def _raise(self, reason: str, moment: Moment) -> Alarm:
        self._open, self._seconds = ActiveAlarm(self._new_id(), moment.score, reason), 0.0
        log.warning("camera %s: no part is judged: %s", self._camera, reason)
        return self._alarm(AlarmEvent.RAISED, self._open, moment, moment.score)

    def _clear(self, moment: Moment, highest_score: float) -> Alarm:
        assert self._open is not None
        over, self._open, self._symptom, self._seconds = self._open, None, None, 0.0
        log.info("camera %s: well again", self._camera)
        return self._alarm(AlarmEvent.CLEARED, over, moment, highest_score)

    def _alarm(self, event: AlarmEvent, alarm: ActiveAlarm, moment: Moment, score: float) -> Alarm:
        return Alarm(
            id=alarm.id,
            event=event,
            kind=AlarmKind.CAMERA,
            camera=self._camera,
            captured_at=moment.captured_at,
            frame=moment.frame,
            score=score,
            threshold=moment.threshold,
            reason=alarm.reason,
        )
