"""The records of the review: alarms as they were raised, and the judgements of people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from agent.core.crop import Crop


class Judged(str, Enum):
    """A person's judgement of an alarm."""

    TRUE = "true"
    """The part was bad, or the camera faulty."""
    FALSE = "false"
    """A false alarm: the part was good."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How long a camera has judged frames, stops left out."""

    seconds: float = 0.0
    """Running time: the intervals between successive frames, without gaps."""
    frames: int = 0
    """Frames judged."""

    def __add__(self, other: Exposure) -> Exposure:
        return Exposure(self.seconds + other.seconds, self.frames + other.frames)


@dataclass(frozen=True, slots=True)
class AlarmRecord:
    """An alarm with what is needed to judge it, to train on it and to measure recall by it."""

    id: str
    camera: str
    kind: str
    """`defect` or `camera`."""
    raised_at: datetime
    """Capture of the frame that raised it, UTC."""
    cleared_at: datetime | None = None
    """UTC; None while it is active, or if its end is not known."""
    frame: int | None = None
    """Index of that frame; None, like all that follows, for an alarm of which only the evidence is left."""
    score: float | None = None
    """Latent distance of that frame."""
    peak: float | None = None
    """Highest value of the alarm rule's statistic while it was active: a threshold above it raises no alarm."""
    threshold: float | None = None
    rule: str | None = None
    calibration: str | None = None
    """Id of the calibration in force."""
    bundle: str | None = None
    """SHA-256 of the bundle that gave the score."""
    engine: str | None = None
    origin: str | None = None
    """File that the frame came from."""
    reason: str | None = None
    """Of an alarm about the camera: the fault."""
    crop: Crop | None = None
    """The inspected part of the source image; None: all of it."""
    product: str | None = None
    """The product that was inspected; None for a camera without products."""
    exposure: Exposure = Exposure()
    """Of the calibration in force, when it was raised."""


@dataclass(frozen=True, slots=True)
class AlarmFilter:
    """Which alarms are listed; None does not limit."""

    kind: str | None = None
    """`defect` or `camera`."""
    since: datetime | None = None
    """Raised at this time or later."""
    until: datetime | None = None
    """Raised before this time."""
    score_from: float | None = None
    """Of this score or a higher one."""
    score_to: float | None = None
    """Of this score or a lower one."""
    before: str | None = None
    """Id of an alarm: only those that are older."""
    after: str | None = None
    """Id of an alarm: only those that are newer; a limit leaves the ones next to it."""
    product: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement of one alarm. A later one replaces it; all are kept."""

    number: int
    """Counts the judgements of this agent."""
    alarm: str
    """Id of the alarm."""
    verdict: Judged
    by: str
    """Name of the person."""
    at: datetime
    """UTC."""
    note: str | None = None
    defect: str | None = None
    """Kind of the defect, in the person's words."""


@dataclass(frozen=True, slots=True)
class JudgedAlarm:
    """An alarm with its judgements, oldest first; the last one counts."""

    alarm: AlarmRecord
    judgements: tuple[Judgement, ...] = ()

    @property
    def judgement(self) -> Judgement | None:
        """The judgement that counts; None while nobody has judged the alarm."""
        return self.judgements[-1] if self.judgements else None

    @property
    def verdict(self) -> Judged | None:
        """The verdict that counts."""
        return self.judgements[-1].verdict if self.judgements else None
