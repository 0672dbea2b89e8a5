"""From verdicts to alarms: raised once, cleared once, one id for both. Pure; its state survives a restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from agent.core.records import Alarm, AlarmEvent, AlarmKind, Verdict


@dataclass(frozen=True, slots=True)
class ActiveAlarm:
    """An alarm that was raised and not cleared yet: all that has to survive a restart."""

    id: str
    """UUIDv7."""
    highest_score: float
    """Highest score while it stood."""
    reason: str | None = None
    """Of an alarm about the camera: what is wrong with it, in words."""

    def to_json(self) -> bytes:
        """For the store of the agent's state."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> ActiveAlarm:
        """Back from `to_json`. Raises ValueError where the data is of another shape."""
        try:
            return cls(**json.loads(data))
        except TypeError as error:
            raise ValueError(f"got {data[:80]!r}, wanted an open alarm") from error


class DefectAlarm:
    """Raises an alarm on the first anomalous verdict, and clears it after a quiet time.

    The k of n rule is already in the verdict: its statistic is what the threshold was calibrated for.
    """

    def __init__(
        self, camera: str, clear_after_seconds: float, new_id: Callable[[], str], open_alarm: ActiveAlarm | None = None
    ) -> None:
        """Args:
        camera: its name.
        clear_after_seconds: quiet time, by the frames' monotonic clock, after which an alarm is over.
        new_id: makes the id of a new alarm.
        open_alarm: the one that stood when the agent was stopped; its quiet time starts anew with the first frame.
        """
        self._camera = camera
        self.clear_after_seconds = clear_after_seconds
        """Quiet time after which an alarm is over; may be changed at any time."""
        self._new_id = new_id
        self._open = open_alarm
        self._last_anomalous: float | None = None

    @property
    def open_alarm(self) -> ActiveAlarm | None:
        """The alarm that stands, if one does."""
        return self._open

    def look_away(self) -> None:
        """Nothing was seen for a while: a quiet time of what stands begins anew with the next verdict."""
        self._last_anomalous = None

    def end(self, captured_at: datetime, frame: int, threshold: float, reason: str) -> Alarm | None:
        """Clear the alarm that stands, if one does: nobody looks any more, so nobody could see its end."""
        if self._open is None:
            return None
        over, self._open = self._open, None
        return Alarm(
            id=over.id,
            event=AlarmEvent.CLEARED,
            kind=AlarmKind.DEFECT,
            camera=self._camera,
            captured_at=captured_at,
            frame=frame,
            score=over.highest_score,
            threshold=threshold,
            reason=reason,
        )

    def update(self, verdict: Verdict) -> Alarm | None:
        """Take in the next verdict; what it raises or clears, if anything."""
        now = verdict.frame.captured_monotonic
        if verdict.anomalous:
            self._last_anomalous = now
            return self._raise(verdict)
        if self._open is None:
            return None
        if self._last_anomalous is None:
            self._last_anomalous = now
        if now - self._last_anomalous < self.clear_after_seconds:
            return None
        return self._clear(verdict)

    def _raise(self, verdict: Verdict) -> Alarm | None:
        if self._open is not None:
            self._open = replace(self._open, highest_score=max(self._open.highest_score, verdict.score))
            return None
        self._open = ActiveAlarm(self._new_id(), verdict.score)
        return self._alarm(AlarmEvent.RAISED, self._open, verdict, verdict.score)

    def _clear(self, verdict: Verdict) -> Alarm:
        assert self._open is not None
        over, self._open = self._open, None
        return self._alarm(AlarmEvent.CLEARED, over, verdict, over.highest_score)

    def _alarm(self, event: AlarmEvent, alarm: ActiveAlarm, verdict: Verdict, score: float) -> Alarm:
        return Alarm(
            id=alarm.id,
            event=event,
            kind=AlarmKind.DEFECT,
            camera=self._camera,
            captured_at=verdict.frame.captured_at,
            frame=verdict.frame.index,
            score=score,
            threshold=verdict.threshold,
        )
