"""Parts that pass under a free-running camera: recognised in the image, with hysteresis."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from statistics import median
from typing import Generic, TypeVar

from agent.core.records import Frame
from agent.parts.grouping import Grouping
from agent.parts.shot import Collector, Group, Shot

T = TypeVar("T")

# A part is completely in view in the frames with at least this share of its largest area. In the others it enters or
# leaves, and they say nothing about it.
_COMPLETE = 0.9

# By the areas of this many parts it is known how much of the view a part covers.
_KNOWN_PARTS = 21

# A camera that delivers nothing for so long, seconds, has not seen the part leave.
_SILENCE_SECONDS = 5.0


class ByPresence(Grouping[T]):
    """A part begins with frames that differ from the empty view, and ends with frames that do not.

    Where a part stays in view for too many frames, it is complete by then; what follows belongs to no part until the
    view was empty. Two parts that touch are one.
    """

    def __init__(self, *, enter: float, leave: float, min_frames: int, max_frames: int) -> None:
        """Args:
        enter: share of the view that differs where a part begins, 0..1.
        leave: where it ends, below `enter`.
        min_frames: so many frames in a row begin it, and end it.
        max_frames: frames of a part at most.
        """
        self._enter, self._leave = enter, leave
        self._min_frames, self._max_frames = min_frames, max_frames
        self._entering: list[Shot[T]] = []
        self._part: _PassingPart[T] | None = None
        self._empty_frames = 0
        self._areas: deque[float] = deque(maxlen=_KNOWN_PARTS)
        self.overdue = False
        """Whether something stays in view for longer than a part may. May be read from any thread."""

    @property
    def between_parts(self) -> bool:
        return self._part is None and not self._entering

    def shows_whole_part(self, frame: Frame) -> bool:
        """False for a frame of the empty view, and for one in which a part enters or leaves, where that is known."""
        area = frame.presence or 0.0
        usual = median(self._areas) if self._areas else 0.0
        return area >= max(self._leave, _COMPLETE * usual)

    def add(self, shot: Shot[T]) -> list[Group[T]]:
        area = shot.frame.presence or 0.0
        ended = self.tick(shot.frame.captured_monotonic)
        if self._part is None and not self.overdue:
            self._enter_with(shot, area)
            return ended
        self._empty_frames = self._empty_frames + 1 if area < self._leave else 0
        if self._part is not None and not self._empty_frames:
            self._part.add(shot, area)
            self.overdue = self._part.collector.seen >= self._max_frames
        if self.overdue or self._empty_frames >= self._min_frames:
            ended += self.finish()
        if self._empty_frames >= self._min_frames:
            self.overdue = False
        return ended

    def tick(self, now_monotonic: float) -> list[Group[T]]:
        part = self._part
        silent = part is not None and now_monotonic - part.collector.last_monotonic >= _SILENCE_SECONDS
        return self.finish() if silent else []

    def finish(self) -> list[Group[T]]:
        part, self._part, self._entering = self._part, None, []
        if part is None:
            return []
        self._areas.append(part.area)
        return [part.group()]

    def _enter_with(self, shot: Shot[T], area: float) -> None:
        if area < self._enter:
            self._entering.clear()
            return
        self._entering.append(shot)
        if len(self._entering) >= self._min_frames:
            self._part, self._empty_frames = _PassingPart(), 0
            for each in self._entering:
                self._part.add(each, each.frame.presence or 0.0)
            self._entering = []


class _PassingPart(Generic[T]):
    """One part; keeps those of its frames that may turn out to be the worst one in which it is completely in view."""

    def __init__(self) -> None:
        self.collector = Collector[T]()
        self.area = 0.0
        """Largest share of the view so far."""
        self._all: list[tuple[float, Shot[T]]] = []
        self._judged: list[tuple[float, Shot[T]]] = []
        self._usable: list[tuple[float, Shot[T]]] = []
        self._judged_areas: list[float] = []
        self._usable_scores: list[tuple[float, float]] = []

    def add(self, shot: Shot[T], area: float) -> None:
        """Take in the next frame; `area`: the share of the view that differs from the empty one."""
        self.collector.add(shot)
        self.area = max(self.area, area)
        self._all = self._with(self._all, area, shot)
        if shot.usable:
            self._usable = self._with(self._usable, area, shot)
            self._usable_scores.append((area, shot.score))
        if shot.reason is None:
            self._judged = self._with(self._judged, area, shot)
            self._judged_areas.append(area)

    def group(self) -> Group[T]:
        """The complete part, by the frames in which all of it was in view."""
        judged = self._worst(self._judged)
        group = self.collector.group()
        return replace(
            group,
            highest=self._worst(self._all),
            judged=judged,
            usable=self._worst(self._usable),
            reason=None if judged is not None else self.collector.reason,
            frames=sum(area >= _COMPLETE * self.area for area in self._judged_areas),
            first_score=next((score for area, score in self._usable_scores if area >= _COMPLETE * self.area), None),
        )

    def _with(self, kept: list[tuple[float, Shot[T]]], area: float, shot: Shot[T]) -> list[tuple[float, Shot[T]]]:
        """The frames of which none other has both a larger area and a higher score."""
        if any(other >= area and each.score >= shot.score for other, each in kept):
            return kept
        better = [(other, each) for other, each in kept if other > area or each.score > shot.score]
        return [(other, each) for other, each in [*better, (area, shot)] if other >= _COMPLETE * self.area]

    def _worst(self, kept: list[tuple[float, Shot[T]]]) -> Shot[T] | None:
        whole = [shot for area, shot in kept if area >= _COMPLETE * self.area]
        return max(whole, key=lambda shot: shot.score, default=None)
