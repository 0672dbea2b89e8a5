"""Which frames show the same part: by their number, or by the gap between two parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from agent.core.records import Frame
from agent.parts.shot import Collector, Group, Shot, missed_part

T = TypeVar("T")


class Grouping(ABC, Generic[T]):
    """From the scored frames of one camera, in their order, to parts. No thread, no clock, no I/O."""

    @abstractmethod
    def add(self, shot: Shot[T]) -> list[Group[T]]:
        """Take in the next frame; returns the parts that are complete now."""

    def shows_whole_part(self, frame: Frame) -> bool:
        """False for a frame of which it is known that it shows no part, or not all of one."""
        return True

    @property
    def between_parts(self) -> bool:
        """Whether no part is incomplete. May be read from any thread."""
        return True

    def tick(self, now_monotonic: float) -> list[Group[T]]:
        """Time has passed: returns the parts that are complete now. `now_monotonic` in seconds."""
        return []

    def finish(self) -> list[Group[T]]:
        """No more frames follow: returns the parts that are not complete yet."""
        return []


class SingleFrames(Grouping[T]):
    """Parts are not known: each frame is judged alone."""

    def add(self, shot: Shot[T]) -> list[Group[T]]:
        frame = shot.frame
        return [
            Group(
                part=None,
                highest=shot,
                judged=shot if shot.reason is None else None,
                usable=shot if shot.usable else None,
                reason=shot.reason,
                frames=int(shot.reason is None),
                first=frame,
                index=frame.index,
                captured_at=frame.captured_at,
                started_monotonic=frame.captured_monotonic,
            )
        ]


class ByCount(Grouping[T]):
    """So many frames in a row show the same part, counted from the first frame of the camera.

    Frames that were dropped count too, since the index of a frame includes them. A part of which every frame was
    dropped is not judged: it is late.
    """

    def __init__(self, frames_per_part: int) -> None:
        self._frames_per_part = frames_per_part
        self._last: Frame | None = None
        self._collector = Collector[T]()

    @property
    def between_parts(self) -> bool:
        return not self._collector.seen

    def add(self, shot: Shot[T]) -> list[Group[T]]:
        number, place = divmod(shot.frame.index, self._frames_per_part)
        last, self._last = self._last, shot.frame
        another = last is None or number != last.index // self._frames_per_part
        complete = self._end() if another else []
        if last is not None:
            complete += self._dropped(last, shot.frame)
        self._collector.add(shot)
        return complete + self._end() if place == self._frames_per_part - 1 else complete

    def finish(self) -> list[Group[T]]:
        self._last = None
        return self._end()

    def _end(self) -> list[Group[T]]:
        collector, self._collector = self._collector, Collector[T]()
        return [collector.group(collector.origin)] if collector.seen else []

    def _dropped(self, last: Frame, frame: Frame) -> list[Group[T]]:
        """The parts between two frames that follow each other, of which no frame was scored."""
        numbers = range(last.index // self._frames_per_part + 1, frame.index // self._frames_per_part)
        return [missed_part(number * self._frames_per_part, last, frame) for number in numbers]


class ByGap(Grouping[T]):
    """A time without a frame lies between two parts: the camera delivers frames only while it sees one."""

    def __init__(self, gap_seconds: float) -> None:
        self._gap_seconds = gap_seconds
        self._collector = Collector[T]()

    @property
    def between_parts(self) -> bool:
        return not self._collector.seen

    def add(self, shot: Shot[T]) -> list[Group[T]]:
        complete = self.tick(shot.frame.captured_monotonic)
        self._collector.add(shot)
        return complete

    def tick(self, now_monotonic: float) -> list[Group[T]]:
        over = self._collector.seen and now_monotonic - self._collector.last_monotonic >= self._gap_seconds
        return self.finish() if over else []

    def finish(self) -> list[Group[T]]:
        collector, self._collector = self._collector, Collector[T]()
        return [collector.group()] if collector.seen else []
