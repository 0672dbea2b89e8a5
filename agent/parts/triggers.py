"""Parts that a trigger announces: each takes the next frames, and gets a verdict in time or none."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

from agent.core.errors import Temporary
from agent.core.records import Frame, NotJudged
from agent.parts.grouping import Grouping
from agent.parts.shot import Collector, Group, Shot

T = TypeVar("T")


@dataclass(slots=True)
class _Trigger(Generic[T]):
    part: str
    at: datetime
    monotonic: float
    lost: int = 0
    """Frames of its part that did not arrive."""
    collector: Collector[T] = field(default_factory=Collector)


class ByTrigger(Grouping[T]):
    """Each trigger takes the next frames that were captured after it. Triggers wait in their order, up to a limit.

    A frame that the agent triggered itself names its trigger, and a triggered camera counts the frames that were lost
    on the way: no part gets the frame of another one because one was lost.

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
        frame = shot.frame
        done = self.tick(frame.captured_monotonic)
        if frame.triggered_monotonic is None:
            done += self._lose(frame.lost_before, frame.captured_monotonic)
        else:
            done += self._skip_to(frame.triggered_monotonic)
        if not self._waiting or not self._shows(frame, self._waiting[0]):
            return done
        self._waiting[0].collector.add(shot)
        return done + self._complete()

    @staticmethod
    def _shows(frame: Frame, trigger: _Trigger[T]) -> bool:
        if frame.triggered_monotonic is not None:
            return frame.triggered_monotonic == trigger.monotonic
        return frame.captured_monotonic >= trigger.monotonic

    def _complete(self) -> list[Group[T]]:
        """The first part, where all its frames have arrived or are lost."""
        first = self._waiting[0]
        if first.collector.seen + first.lost < self._frames_per_part:
            return []
        self._waiting.popleft()
        if first.collector.seen == 0:
            return [self._unanswered(first, NotJudged.LATE)]
        return [first.collector.group(first.part, first.monotonic)]

    def _lose(self, count: int, before: float) -> list[Group[T]]:
        """Frames were lost, that of the first part first; `before`: when the next one was captured."""
        done: list[Group[T]] = []
        for _ in range(count):
            if not self._waiting or self._waiting[0].monotonic > before:
                break
            self._waiting[0].lost += 1
            done += self._complete()
        return done

    def _skip_to(self, triggered: float) -> list[Group[T]]:
        """Frames come in the order of their triggers: an earlier trigger gets none any more."""
        done = []
        while self._waiting and self._waiting[0].monotonic < triggered:
            done.append(self._unanswered(self._waiting.popleft(), NotJudged.LATE))
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
