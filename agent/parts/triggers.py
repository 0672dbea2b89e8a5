"""Parts that a trigger announces: each takes the next frames, and gets a verdict in time or none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from agent.core.errors import Temporary
from agent.core.records import NotJudged
from agent.parts.grouping import Grouping
from agent.parts.shot import Collector, Group, Shot

T = TypeVar("T")


@dataclass(slots=True)
class _Trigger(Generic[T]):
    part: str
    at: datetime
    monotonic: float
    collector: Collector[T] = field(default_factory=Collector)


class ByTrigger(Grouping[T]):
    """Each trigger takes the next frames that were captured after it. Triggers wait in their order, up to a limit.

    A trigger that got too few frames when its time is over is not judged, and neither is one that still waits when the
    agent stops: every trigger gets a result.
    """

    def __init__(self, *, frames_per_part: int, timeout_seconds: float, max_waiting: int) -> None:
        """Args:
        frames_per_part: frames of a burst, ≥ 1.
        timeout_seconds: from the trigger to its result, > 0.
        max_waiting: triggers without a result at most, ≥ 1.
        """
        self._frames_per_part = frames_per_part
        self._timeout_seconds = timeout_seconds
        self._max_waiting = max_waiting
        self._waiting: deque[_Trigger[T]] = deque()

    @property
    def waiting(self) -> int:
        """Triggers without a result. May be read from any thread."""
        return len(self._waiting)

    @property
    def between_parts(self) -> bool:
        return not self._waiting

    @property
    def full(self) -> bool:
        """Whether further triggers are rejected. May be read from any thread."""
        return len(self._waiting) >= self._max_waiting

    def trigger(self, part: str, at: datetime, monotonic_seconds: float) -> int:
        """A part arrives now; returns how many triggers wait before it. Raises Temporary where too many wait.

        Args:
            part: id of the part.
            at: wall-clock time of the trigger, UTC.
            monotonic_seconds: the same on the monotonic clock.
        """
        if self.full:
            raise Temporary(f"{len(self._waiting)} triggers wait for their result already; wanted fewer at a time")
        self._waiting.append(_Trigger(part, at, monotonic_seconds))
        return len(self._waiting) - 1

    def add(self, shot: Shot[T]) -> list[Group[T]]:
        captured = shot.frame.captured_monotonic
        done = self.tick(captured)
        if not self._waiting or captured < self._waiting[0].monotonic:
            return done
        collector = self._waiting[0].collector
        collector.add(shot)
        if collector.seen >= self._frames_per_part:
            trigger = self._waiting.popleft()
            done.append(collector.group(trigger.part, trigger.monotonic))
        return done

    def tick(self, now_monotonic: float) -> list[Group[T]]:
        late = []
        while self._waiting and now_monotonic - self._waiting[0].monotonic >= self._timeout_seconds:
            late.append(self._unanswered(self._waiting.popleft(), NotJudged.LATE))
        return late

    def finish(self) -> list[Group[T]]:
        stopped = [self._unanswered(trigger, NotJudged.STOPPED) for trigger in self._waiting]
        self._waiting.clear()
        return stopped

    @staticmethod
    def _unanswered(trigger: _Trigger[T], reason: NotJudged) -> Group[T]:
        return Group(trigger.part, None, None, None, reason, 0, None, trigger.at, trigger.monotonic, announced=True)
