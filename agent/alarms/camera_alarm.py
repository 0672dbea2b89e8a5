"""From findings about single frames to an alarm about the camera: raised when they last, cleared when they stop."""

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

# An image without light has no other explanation. The other symptoms might be a few strange parts in a row, so they
# must last longer than those: twenty frames at 20 frames/s.
_RAISE_AFTER_SECONDS = {Symptom.BLACK: 0.5, Symptom.SATURATED: 0.5}
_RAISE_AFTER_DEFAULT_SECONDS = 1.0

# A camera whose fault comes and goes is not healthy in between.
_CLEAR_AFTER_SECONDS = 0.5

# A camera whose alarm is raised again for the same fault within this time must be healthy for twice as long as before,
# up to a limit: a stream that ends every half second would raise and clear 60 alarms in a minute and a half.
_RELAPSE_SECONDS, _MOST_CLEAR_AFTER_SECONDS = 10.0, 8.0

# At any frame rate, an alarm is raised or cleared after this many frames at the earliest.
_LEAST_FRAMES = 4

# Sums of frame intervals are compared with round numbers.
_ROUNDING_SECONDS = 1e-6


class Condition(Enum):
    """What the last frames say about the camera."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    """The last frames show a symptom, but not for long enough to raise an alarm."""
    FAULTY = "faulty"
    """An alarm about the camera is active; no part is judged."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A frame, or the lack of one, as an alarm reports it."""

    captured_at: datetime
    """Wall-clock time, UTC."""
    monotonic: float
    """Monotonic time of the same moment, seconds."""
    frame: int
    """Index of the frame; of the last one where the camera is lost."""
    score: float
    """Latent distance of the frame, ≥ 0; 0 where the camera is lost."""
    threshold: float | None
    """The threshold in force; None before the first calibration."""


class CameraAlarm:
    """Raises one alarm when a camera becomes faulty and clears it when it is healthy again.

    Pure: no clock, no I/O. Its active alarm survives a restart.
    """

    def __init__(self, camera: str, new_id: Callable[[], str], active_alarm: ActiveAlarm | None = None) -> None:
        """Args:
        camera: name of the camera.
        new_id: makes the id of a new alarm.
        active_alarm: the alarm that was active when the agent stopped.
        """
        self._camera = camera
        self._new_id = new_id
        self._active = active_alarm
        self._symptom: Symptom | None = None
        self._seconds = 0.0
        """How long frames have shown a symptom or, while an alarm is active, none. Each frame counts a limited time."""
        self._last_monotonic: float | None = None
        self._clear_after_seconds = _CLEAR_AFTER_SECONDS
        self._cleared_monotonic: float | None = None
        self._kind = ""
        """Of the fault of the last alarm: the first word of its reason."""

    @property
    def condition(self) -> Condition:
        """The condition of the camera now."""
        if self._active is not None:
            return Condition.FAULTY
        return Condition.SUSPECT if self._symptom is not None else Condition.HEALTHY

    @property
    def active_alarm(self) -> ActiveAlarm | None:
        """The active alarm, if any."""
        return self._active

    def update(self, observation: Observation, finding: Finding | None) -> Alarm | None:
        """Take in the next frame and the symptom found in it, if any; returns the alarm that this raises or clears."""
        interval = 0.0 if self._last_monotonic is None else max(0.0, observation.monotonic - self._last_monotonic)
        self._last_monotonic = observation.monotonic
        if self._active is None:
            return self._watch_for_fault(observation, finding, interval)
        return self._watch_for_recovery(observation, finding, interval)

    def mark_lost(self, reason: str, observation: Observation) -> Alarm | None:
        """The camera delivers no frames: returns the alarm raised, or None where one is active already."""
        self._seconds = 0.0
        return None if self._active is not None else self._raise(f"lost: {reason}", observation)

    def restart_recovery(self) -> None:
        """The camera was opened again: only its frames from now on show whether it is healthy."""
        if self._active is not None:
            self._seconds = 0.0

    def end(self, reason: str, observation: Observation) -> Alarm | None:
        """Clear the active alarm, if any, although its cause may remain; for when inspection stops."""
        if self._active is None:
            return None
        ended = replace(self._active, reason=reason)
        self._reset()
        return self._alarm(AlarmEvent.CLEARED, ended, observation, ended.highest_score)

    def _watch_for_fault(self, observation: Observation, finding: Finding | None, interval: float) -> Alarm | None:
        self._symptom = None if finding is None else finding.symptom
        if finding is None:
            # A camera with every second image black is faulty: a frame with a symptom counts twice one without.
            self._seconds -= 0.5 * min(interval, _RAISE_AFTER_DEFAULT_SECONDS / _LEAST_FRAMES)
            self._seconds = max(0.0, self._seconds)
            return None
        raise_after = _RAISE_AFTER_SECONDS.get(finding.symptom, _RAISE_AFTER_DEFAULT_SECONDS)
        self._seconds += min(interval, raise_after / _LEAST_FRAMES)
        return None if self._seconds < raise_after - _ROUNDING_SECONDS else self._raise(finding.reason, observation)

    def _watch_for_recovery(self, observation: Observation, finding: Finding | None, interval: float) -> Alarm | None:
        assert self._active is not None
        highest = max(self._active.highest_score, observation.score)
        if finding is not None:
            reason = finding.reason if finding.symptom is not self._symptom else self._active.reason
            self._active = ActiveAlarm(self._active.id, highest, reason)
            self._symptom, self._seconds = finding.symptom, 0.0
            return None
        wanted = self._clear_after_seconds
        self._seconds += min(interval, wanted / _LEAST_FRAMES)
        return None if self._seconds < wanted - _ROUNDING_SECONDS else self._clear(observation, highest)

    def _raise(self, reason: str, observation: Observation) -> Alarm:
        cleared, longer = self._cleared_monotonic, min(2.0 * self._clear_after_seconds, _MOST_CLEAR_AFTER_SECONDS)
        kind = reason.partition(":")[0]
        relapse = cleared is not None and observation.monotonic - cleared < _RELAPSE_SECONDS and kind == self._kind
        self._kind = kind
        self._clear_after_seconds = longer if relapse else _CLEAR_AFTER_SECONDS
        self._active, self._seconds = ActiveAlarm(self._new_id(), observation.score, reason), 0.0
        log.warning("camera %s: faulty, parts are not judged: %s", self._camera, reason)
        return self._alarm(AlarmEvent.RAISED, self._active, observation, observation.score)

    def _clear(self, observation: Observation, highest_score: float) -> Alarm:
        assert self._active is not None
        cleared = self._active
        self._reset()
        self._cleared_monotonic = observation.monotonic
        log.info("camera %s: healthy again", self._camera)
        return self._alarm(AlarmEvent.CLEARED, cleared, observation, highest_score)

    def _reset(self) -> None:
        self._active, self._symptom, self._seconds = None, None, 0.0

    def _alarm(self, event: AlarmEvent, alarm: ActiveAlarm, observation: Observation, score: float) -> Alarm:
        return Alarm(
            id=alarm.id,
            event=event,
            kind=AlarmKind.CAMERA,
            camera=self._camera,
            captured_at=observation.captured_at,
            frame=observation.frame,
            score=score,
            threshold=observation.threshold,
            reason=alarm.reason,
        )
