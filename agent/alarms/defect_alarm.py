"""From verdicts to alarms about defects: raised once, cleared once, one id for both."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from agent.core.records import Alarm, AlarmEvent, AlarmKind, Verdict


@dataclass(frozen=True, slots=True)
class ActiveAlarm:
    """An alarm that was raised and not cleared yet: everything about it that must survive a restart."""

    id: str
    """UUIDv7."""
    highest_score: float
    """Highest score since it was raised."""
    reason: str | None = None
    """Of an alarm about the camera: the fault, in words."""

    def to_json(self) -> bytes:
        """The JSON document that is kept with the agent's state."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> ActiveAlarm:
        """The alarm that `to_json` wrote. Raises ValueError for any other document."""
        try:
            return cls(**json.loads(data))
        except TypeError as error:
            raise ValueError(f"got {data[:80]!r}, wanted an active alarm") from error


class DefectAlarm:
    """Raises an alarm at the first anomalous verdict, and clears it after a quiet time.

    Where each verdict is about another part, each anomalous one raises an alarm of its own, and the next verdict clears
    it. The k of n rule is already in the verdict: the threshold was calibrated for its statistic. Pure: no clock, no
    I/O. The active alarm survives a restart.
    """

    def __init__(
        self,
        camera: str,
        clear_after_seconds: float,
        new_id: Callable[[], str],
        active_alarm: ActiveAlarm | None = None,
    ) -> None:
        """Args:
        camera: name of the camera.
        clear_after_seconds: quiet time, by the frames' monotonic clock, after which an alarm is cleared.
        new_id: makes the id of a new alarm; one raised by a frame from a file has the id of that frame.
        active_alarm: the alarm that was active when the agent stopped; its quiet time starts with the first verdict.
        """
        self._camera = camera
        self.clear_after_seconds = clear_after_seconds
        """Quiet time after which an alarm is cleared; may be changed at any time."""
        self._new_id = new_id
        self._active = active_alarm
        self._quiet_since: float | None = None

    @property
    def active_alarm(self) -> ActiveAlarm | None:
        """The active alarm, if any."""
        return self._active

    def restart_quiet_time(self) -> None:
        """Frames were not judged for a while: the quiet time starts again with the next verdict."""
        self._quiet_since = None

    def end(self, captured_at: datetime, frame: int, threshold: float, reason: str | None) -> Alarm | None:
        """Clear the active alarm, if any, before its quiet time has passed; for when inspection stops."""
        if self._active is None:
            return None
        ended, self._active = self._active, None
        return Alarm(
            id=ended.id,
            event=AlarmEvent.CLEARED,
            kind=AlarmKind.DEFECT,
            camera=self._camera,
            captured_at=captured_at,
            frame=frame,
            score=ended.highest_score,
            threshold=threshold,
            reason=reason,
        )

    def update(self, verdict: Verdict, *, another_part: bool = False) -> tuple[Alarm, ...]:
        """Take in the next verdict; returns the alarms that it clears and raises, in this order.

        `another_part`: it is about another part than the verdict before. With a quiet time, the alarms of several bad
        parts still count as one.
        """
        now = verdict.frame.captured_monotonic
        if verdict.anomalous:
            self._quiet_since = now
            # A killed agent inspects a file once more: its active alarm is that of this part.
            same = self._active is not None and self._active.id == verdict.frame.id
            cleared = self._clear(verdict) if another_part and not same and self.clear_after_seconds == 0 else ()
            return cleared + self._raise_or_extend(verdict)
        if self._active is None:
            return ()
        if self._quiet_since is None:
            self._quiet_since = now
        if now - self._quiet_since < self.clear_after_seconds:
            return ()
        return self._clear(verdict)

    def _raise_or_extend(self, verdict: Verdict) -> tuple[Alarm, ...]:
        if self._active is not None:
            self._active = replace(self._active, highest_score=max(self._active.highest_score, verdict.score))
            return ()
        self._active = ActiveAlarm(verdict.frame.id or self._new_id(), verdict.score)
        return (self._alarm(AlarmEvent.RAISED, self._active, verdict, verdict.score),)

    def _clear(self, verdict: Verdict) -> tuple[Alarm, ...]:
        if self._active is None:
            return ()
        cleared, self._active = self._active, None
        return (self._alarm(AlarmEvent.CLEARED, cleared, verdict, cleared.highest_score),)

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
            origin=verdict.frame.origin,
        )
