"""The promise of one calibration in production: how long it has been kept, and whether it is broken.

Running time counts, without stops; for a budget in parts or frames, the frames that were judged. Alarms that nobody has
judged count as false.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from agent.review.records import Exposure, Judged, JudgedAlarm
from calibration import BrokenPromise, Budget, Calibration, find_broken_promise, worst_rate


@dataclass(frozen=True, slots=True)
class Certificate:
    """Evidence from production about the false-alarm rate."""

    certified: bool
    """The rate is within the budget, at the confidence of the calibration."""
    exposure: float
    """The evidence, in spans of the budget."""
    false_alarms: int
    """Alarms in it that were not judged true."""
    unjudged: int
    """Those of them that nobody has judged."""
    worst: float
    """Upper limit of the rate, false alarms per span of the budget."""
    since: datetime | None
    """When it was reached, UTC; None while it is not."""


@dataclass(frozen=True, slots=True)
class Broken:
    """False alarms come faster than promised."""

    since: datetime
    """The first alarm of the higher rate, UTC."""
    rate: float
    """False alarms per span of the budget since then, when it was noticed."""
    alarms: int
    """Alarms since then, when it was noticed."""
    unjudged: int
    """Those of them that nobody had judged."""


@dataclass(frozen=True, slots=True)
class _Marks:
    """Positions in the life of a calibration, in units of its budget, that survive a restart."""

    watched_from: float = 0.0
    """Alarms before it no longer count for the watch."""
    certified_from: float = 0.0
    """Evidence before it no longer counts for the certificate: the promise was broken then."""
    certified_before: float = 0.0
    """The same mark before the promise was broken, for the case that judgements show that it was not."""
    certified_since: str | None = None
    broken_since: str | None = None
    broken_rate: float = 0.0
    broken_alarms: int = 0
    broken_unjudged: int = 0


def position(budget: Budget, exposure: Exposure) -> float:
    """The exposure in units of a budget: the number of false alarms that it allows in it.

    >>> position(Budget.parse("2 per shift"), Exposure(seconds=14_400.0, frames=9))
    1.0
    >>> position(Budget.parse("1 per 100 parts"), Exposure(seconds=5.0, frames=250))
    2.5
    """
    if budget.per_seconds is not None:
        return exposure.seconds * budget.alarms / budget.per_seconds
    return exposure.frames * budget.alarms / float(budget.per_frames or 1.0)


def broken_since(document: str) -> datetime | None:
    """When the promise of a life was broken, UTC, from its `PromiseLife.to_json`; None where it was kept."""
    found = json.loads(document).get("broken_since") if document else None
    return None if found is None else datetime.fromisoformat(found)


class PromiseLife:
    """One calibration in production. The inspection thread adds exposure; one other thread does everything else."""

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration
        self.run = Exposure()
        """Since this agent started; the inspection thread replaces it."""
        self._before = Exposure()
        self._marks = _Marks()
        self._alarms: dict[str, JudgedAlarm] = {}
        self._earlier: tuple[int, ...] = ()

    @property
    def exposure(self) -> Exposure:
        """Of this calibration, earlier runs of the agent included."""
        return self._before + self.run

    def at(self, run: Exposure) -> Exposure:
        """The whole exposure at a moment when that of this run was `run`."""
        return self._before + run

    def resume(self, before: Exposure, document: str, alarms: list[JudgedAlarm], earlier: Sequence[int] = ()) -> None:
        """Continue the life of a calibration after a restart.

        Args:
            before: its exposure, as stored; an alarm stored later shows that it was longer.
            document: `to_json` of that time; empty if there is none.
            alarms: those of this calibration.
            earlier: false alarms of each incident under earlier calibrations of the camera.
        """
        longest = max((known.alarm.exposure for known in alarms), key=lambda each: each.frames, default=before)
        self._earlier = tuple(earlier)
        self._before = max(before, longest, key=lambda each: each.frames)
        if document:
            self._marks = _Marks(**json.loads(document))
        self._alarms = {known.alarm.id: known for known in alarms}

    def to_json(self) -> str:
        """Everything but the exposure and the alarms, for `resume`."""
        return json.dumps(asdict(self._marks))

    def add(self, alarm: JudgedAlarm) -> None:
        """Add an alarm about a defect, or replace it by a newer state of it."""
        if alarm.alarm.calibration == self.calibration.id:
            self._alarms[alarm.alarm.id] = alarm

    @property
    def broken(self) -> Broken | None:
        """The broken promise; None while it is kept."""
        marks = self._marks
        if marks.broken_since is None:
            return None
        since = datetime.fromisoformat(marks.broken_since)
        return Broken(since, marks.broken_rate, marks.broken_alarms, marks.broken_unjudged)

    def certificate(self) -> Certificate:
        """The evidence so far."""
        budget = self.calibration.budget
        now = position(budget, self.exposure)
        begun = self._marks.certified_from
        counted = [(at, known) for at, known in self._false() if at >= begun]
        exposure = max(0.0, now - begun)
        inside = [min(at - begun, exposure) for at, _ in counted]
        confidence = self.calibration.confidence
        worst = worst_rate(inside, exposure, confidence=confidence, earlier=self._earlier)
        since = self._marks.certified_since
        return Certificate(
            certified=since is not None,
            exposure=exposure / budget.alarms,
            false_alarms=len(counted),
            unjudged=sum(known.verdict is None for _, known in counted),
            worst=worst * budget.alarms,
            since=None if since is None else datetime.fromisoformat(since),
        )

    def update_certificate(self, now: datetime) -> bool:
        """Take in the exposure so far; True if the promise has become certified. `now` is UTC."""
        certificate = self.certificate()
        within = certificate.worst <= self.calibration.budget.alarms
        marks = self._marks
        if within == (marks.certified_since is not None):
            return False
        if not within:
            self._marks = replace(marks, certified_since=None)
            return False
        self._marks = replace(marks, certified_since=now.isoformat())
        if marks.broken_since is not None:
            # The line has kept its promise for so long again that a new watch begins.
            at = position(self.calibration.budget, self.exposure)
            self._marks = replace(self._marks, broken_since=None, watched_from=at)
        return True

    def update_watch(self) -> bool:
        """Take in the alarms and judgements so far; True if the promise turns out to be broken now."""
        marks = self._marks
        false = [(at, known) for at, known in self._false() if at >= marks.watched_from]
        found = find_broken_promise([at - marks.watched_from for at, _ in false])
        if marks.broken_since is None:
            if found is not None:
                self._break(found, [known for _, known in false])
            return found is not None
        if found is None:
            # Alarms were judged true.
            self._marks = replace(marks, broken_since=None, certified_from=marks.certified_before)
            return False
        later = [at - marks.certified_from for at, _ in false if at > marks.certified_from]
        if find_broken_promise(later) is not None:
            # Still broken: the evidence that it is kept again begins anew.
            self._marks = replace(marks, certified_from=position(self.calibration.budget, self.exposure))
        return False

    def _break(self, found: BrokenPromise, false: list[JudgedAlarm]) -> None:
        budget = self.calibration.budget
        since = false[found.first :]
        self._marks = replace(
            self._marks,
            broken_since=since[0].alarm.raised_at.isoformat(),
            broken_rate=found.rate * budget.alarms,
            broken_alarms=len(since),
            broken_unjudged=sum(known.verdict is None for known in since),
            certified_since=None,
            certified_before=self._marks.certified_from,
            certified_from=position(budget, self.exposure),
        )

    def _false(self) -> list[tuple[float, JudgedAlarm]]:
        """The alarms not judged true, each with its position, in their order."""
        budget = self.calibration.budget
        found = [
            (position(budget, known.alarm.exposure), known)
            for known in self._alarms.values()
            if known.verdict is not Judged.TRUE
        ]
        return sorted(found, key=lambda entry: (entry[0], entry[1].alarm.id))
