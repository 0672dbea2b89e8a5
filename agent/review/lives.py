"""The promise of each camera's calibration in force: its life in the database, and its state for other threads."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime

from agent.review.database import ReviewDatabase
from agent.review.journal import Journal
from agent.review.promise import Broken, Certificate, PromiseLife, broken_since, position
from agent.review.records import AlarmRecord, Exposure, Judged, JudgedAlarm
from agent.review.sentences import broken_sentence, certificate_sentence
from calibration import Budget, Calibration, incident_sizes

log = logging.getLogger(__name__)

# Alarms under earlier calibrations that show whether false alarms come in bursts, the latest ones.
_MOST_EARLIER = 1_000


@dataclass(frozen=True, slots=True)
class PromiseStatus:
    """The state of one camera's promise, as other threads may read it."""

    calibration: str
    """Id of the calibration."""
    budget: Budget
    certificate: Certificate
    broken: Broken | None
    certificate_text: str
    broken_text: str | None


OnPromise = Callable[[str, str, PromiseStatus], None]
"""Called with a camera, `certified` or `promise_broken`, and the state of its promise."""


class Lives:
    """One thread calls everything but `status`."""

    def __init__(
        self, database: ReviewDatabase, journal: Journal, on_promise: OnPromise, now: Callable[[], datetime]
    ) -> None:
        """Args:
        database: keeps the lives.
        journal: keeps the alarms.
        on_promise: see `OnPromise`.
        now: wall clock, UTC.
        """
        self._database = database
        self._journal = journal
        self._on_promise = on_promise
        self._now = now
        self._lives: dict[str, PromiseLife] = {}
        self._status: dict[str, PromiseStatus] = {}

    def status(self, camera: str) -> PromiseStatus | None:
        """The state of a camera's promise; None before its first judged frame. Any thread may call."""
        return self._status.get(camera)

    def exposure_of(self, camera: str, calibrations: Collection[str | None]) -> Exposure:
        """The running time of these calibrations. Any thread may call."""
        query = "SELECT calibration, seconds, frames FROM life WHERE camera = ?"
        rows = self._database.read(lambda db: db.execute(query, (camera,)).fetchall())
        stored = {calibration: Exposure(seconds, frames) for calibration, seconds, frames in rows}
        life = self._lives.get(camera)
        if life is not None:
            stored[life.calibration.id] = life.exposure
        return sum((stored.get(one or "", Exposure()) for one in calibrations), Exposure())

    def begin(self, camera: str, life: PromiseLife) -> None:
        """A calibration has taken effect: continue its life, where it had one."""
        self.store(camera)
        key = (camera, life.calibration.id)
        query = "SELECT seconds, frames, document FROM life WHERE camera = ? AND calibration = ?"
        row = self._database.read(lambda db: db.execute(query, key).fetchone())
        alarms = self._journal.of_calibration(*key)
        seconds, frames, document = row or (0.0, 0, "")
        earlier = self._earlier_incidents(camera, life.calibration)
        life.resume(Exposure(seconds, frames), document, alarms, earlier)
        self._lives[camera] = life
        self._update(camera, life)

    def _earlier_incidents(self, camera: str, calibration: Calibration) -> list[int]:
        """How many false alarms each incident had under the camera's other calibrations, while they kept their promise.

        A line that has had bursts of false alarms will have them again, whatever the threshold.
        """
        query = "SELECT calibration, document FROM life WHERE camera = ? AND calibration != ?"
        key = (camera, calibration.id)
        rows = self._database.read(lambda db: db.execute(query, key).fetchall())
        ends = {other: broken_since(document) for other, document in rows}
        positions: dict[str, list[float]] = {}
        for known in self._journal.alarms(camera=camera, limit=_MOST_EARLIER):
            alarm, other = known.alarm, known.alarm.calibration or ""
            end = ends.get(other)
            if other not in ends or known.verdict is Judged.TRUE or (end is not None and alarm.raised_at >= end):
                continue
            positions.setdefault(other, []).append(position(calibration.budget, alarm.exposure))
        return [int(size) for found in positions.values() for size in incident_sizes(sorted(found))]

    def add(self, record: AlarmRecord, life: PromiseLife | None, run: Exposure | None) -> None:
        """Store an alarm; `life` and `run` are those at that moment, None for an alarm about the camera."""
        if life is None or run is None:
            self._journal.add(record)
            return
        record = replace(record, exposure=life.at(run))
        self._journal.add(record)
        life.add(JudgedAlarm(record))
        self._update(record.camera, life)

    def judged(self, alarm: JudgedAlarm) -> None:
        """Take in a new judgement."""
        life = self._lives.get(alarm.alarm.camera)
        if life is not None:
            life.add(alarm)
            self._update(alarm.alarm.camera, life)

    def look(self) -> None:
        """Take in the running time of all cameras."""
        for camera, life in self._lives.items():
            self._update(camera, life)

    def store(self, camera: str) -> None:
        """Write the life of a camera's calibration."""
        life = self._lives.get(camera)
        if life is None:
            return
        exposure, key = life.exposure, (camera, life.calibration.id)
        values = (*key, exposure.seconds, exposure.frames, life.to_json())

        def work(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO life VALUES (?, ?, ?, ?, ?)", values)

        self._database.change(work)

    def store_all(self) -> None:
        """Write the lives of all cameras."""
        for camera in self._lives:
            self.store(camera)

    def _update(self, camera: str, life: PromiseLife) -> None:
        """Look at the promise, keep its state for others, and report what has changed."""
        if self._lives.get(camera) is not life:
            return
        now = self._now()
        before = life.to_json()
        broken = life.update_watch()
        certified = not broken and life.update_certificate(now)
        status = self._status[camera] = _status(life, now)
        if life.to_json() != before:
            self.store(camera)
        if broken:
            self._on_promise(camera, "promise_broken", status)
        if certified:
            self._on_promise(camera, "certified", status)


def _status(life: PromiseLife, now: datetime) -> PromiseStatus:
    calibration, certificate, broken = life.calibration, life.certificate(), life.broken
    budget = calibration.budget
    return PromiseStatus(
        calibration.id,
        budget,
        certificate,
        broken,
        certificate_sentence(certificate, budget, now),
        None if broken is None else broken_sentence(broken, budget, now),
    )
