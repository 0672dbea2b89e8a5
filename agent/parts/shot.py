"""One scored frame on its way into a part, and all frames of one part."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Generic, TypeVar

from agent.core.records import Code, Frame, NotJudged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shot(Generic[T]):
    """A scored frame."""

    frame: Frame
    score: float
    """Latent distance, ≥ 0."""
    reason: NotJudged | None
    """Why the frame may not be judged; None where it may."""
    usable: bool
    """It shows the part, so that a calibration window may take it; False for a frame of a faulty camera."""
    evidence: T
    """Everything else that belongs to the frame: heatmap, pixels."""
    scores: tuple[float, ...] = ()
    """Where it stands for several frames, of which it has the highest score: the scores of all, in their order."""


@dataclass(frozen=True, slots=True)
class Group(Generic[T]):
    """The frames of one part, complete. Only those with the highest score are kept."""

    part: str | None
    """Id of the part; None where parts are not known, and this is a single frame."""
    highest: Shot[T] | None
    """The frame with the highest score; None where there is no frame."""
    judged: Shot[T] | None
    """The frame with the highest score of those that may be judged."""
    usable: Shot[T] | None
    """The frame with the highest score of those that a calibration window may take."""
    reason: NotJudged | None
    """Why no frame may be judged; None where one may."""
    frames: int
    """Frames that may be judged."""
    first: Frame | None
    """The first frame; None where there is none."""
    captured_at: datetime
    """Wall-clock time, UTC, of the first frame, or of the trigger where there is none."""
    started_monotonic: float
    """Monotonic time of the trigger, or of the first frame, seconds."""
    index: int | None = None
    """Index of its first frame, also where that was dropped; None where there is none."""
    announced: bool = False
    """A trigger gave the id."""
    code: Code | None = None
    """The first code that a frame shows, else why the last one shows none; None where none is looked for."""
    first_score: float | None = None
    """Score of the first frame that a calibration window may take, whatever the others score; None where parts are not
    known, or there is none."""


class Collector(Generic[T]):
    """Collects the frames of one part; keeps one image or two, however many frames there are."""

    def __init__(self) -> None:
        self._first: Frame | None = None
        self._highest: Shot[T] | None = None
        self._judged: Shot[T] | None = None
        self._usable: Shot[T] | None = None
        self.reason: NotJudged | None = None
        """Why the last of the frames that may not be judged may not; None where all may."""
        self._first_score: float | None = None
        self._code: Code | None = None
        self.seen = 0
        """Frames so far."""
        self._judged_count = 0
        self.last_monotonic = 0.0
        """Monotonic time of the latest frame, seconds."""

    def add(self, shot: Shot[T]) -> None:
        """Take in the next frame of the part."""
        if self._first is None:
            self._first = shot.frame
        self.seen += 1
        self.last_monotonic = shot.frame.captured_monotonic
        if self._code is None or self._code.text is None:
            self._code = shot.frame.code
        self._highest = _higher(self._highest, shot)
        if shot.usable:
            self._usable = _higher(self._usable, shot)
            if self._first_score is None:
                self._first_score = shot.score
        if shot.reason is None:
            self._judged_count += 1
            self._judged = _higher(self._judged, shot)
        else:
            self.reason = shot.reason

    @property
    def origin(self) -> str | None:
        """Name of the file of the first frame; None before it, and for live cameras."""
        return None if self._first is None else self._first.origin

    def group(self, part: str | None = None, started_monotonic: float | None = None) -> Group[T]:
        """All frames so far, at least one, as a complete part.

        Args:
            part: its id; None names it after the time of its first frame. A code in its frames names it, unless a
                trigger did.
            started_monotonic: time of its trigger; None takes the time of its first frame.
        """
        first = self._first
        assert first is not None
        if self._code is not None and self._code.text is not None and started_monotonic is None:
            part = self._code.text
        return Group(
            part=part or part_name(first.captured_at),
            highest=self._highest,
            judged=self._judged,
            usable=self._usable,
            reason=None if self._judged is not None else self.reason,
            frames=self._judged_count,
            first=first,
            index=first.index,
            captured_at=first.captured_at,
            started_monotonic=first.captured_monotonic if started_monotonic is None else started_monotonic,
            announced=started_monotonic is not None,
            code=self._code,
            first_score=self._first_score,
        )


def part_name(captured_at: datetime) -> str:
    """The id of a part that has no other one: the time of its first frame, UTC."""
    return f"{captured_at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def missed_part(index: int, before: Frame, after: Frame) -> Group[T]:
    """A part of which every frame was dropped, since frames arrived faster than they are scored.

    Args:
        index: of its first frame; its time is taken from those of two others.
        before, after: the last frame before it that was scored, and the first one after it.
    """
    share = (index - before.index) / (after.index - before.index)
    captured_at = before.captured_at + share * (after.captured_at - before.captured_at)
    started = before.captured_monotonic + share * (after.captured_monotonic - before.captured_monotonic)
    late = NotJudged.LATE
    return Group(part_name(captured_at), None, None, None, late, 0, None, captured_at, started, index=index)


def _higher(known: Shot[T] | None, shot: Shot[T]) -> Shot[T]:
    return shot if known is None or shot.score > known.score else known
