"""The review of a running agent: takes in frames, alarms and judgements, and writes on a thread of its own."""

from __future__ import annotations

import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from agent.core.clock import utc_now
from agent.core.crop import Crop
from agent.core.errors import Permanent, Temporary
from agent.core.problems import Problems
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Frame, Verdict
from agent.review.camera_feed import CameraFeed
from agent.review.database import ReviewDatabase
from agent.review.folders import ReviewFolders
from agent.review.images import KeptImages
from agent.review.journal import Journal, alarms_in_evidence
from agent.review.judged_scores import JudgedScores, ScoreBasis
from agent.review.lives import Lives, OnPromise, PromiseStatus
from agent.review.records import AlarmRecord, Judged, JudgedAlarm, Judgement
from agent.review.reservoir import Reservoir
from calibration import Calibration

# Jobs that may wait for the disk, and how many of them may hold an image. Beyond, an image is not kept, and an alarm is
# listed only after the next start, from its evidence.
MOST_WAITING = 10_000
MOST_IMAGES_WAITING = 8

# How often the certificates are looked at, and how often running time is written: a killed agent loses this much.
LOOK_SECONDS = 5.0
STORE_SECONDS = 30.0

# How long a full disk is given before the next attempt.
RETRY_SECONDS = 2.0

Job = Callable[[], object]

OnJudged = Callable[[JudgedAlarm], None]
"""Hands the latest judgement of an alarm to the outputs; called again with the same one after an error."""


@dataclass(frozen=True, slots=True)
class AlarmBasis:
    """What an alarm was based on, apart from its verdict."""

    calibration: Calibration | None
    bundle: str
    """SHA-256 of the bundle."""
    engine: str
    crop: Crop | None
    product: str | None = None


class Review(threading.Thread):
    """Keeps every alarm, its judgements, images for training, and the state of each promise."""

    folders: ReviewFolders
    """Where its files are."""
    journal: Journal
    """The alarms and their judgements."""

    def __init__(
        self,
        folders: ReviewFolders,
        cameras: Iterable[str],
        *,
        samples_per_shift: int,
        max_image_bytes: int,
        problems: Problems,
        on_promise: OnPromise = lambda *_: None,
        on_judged: OnJudged = lambda _: None,
        now: Callable[[], datetime] = utc_now,
        chance: random.Random | None = None,
    ) -> None:
        """Open the files. Raises Permanent or Temporary.

        Args:
            folders: of the review, made where missing; and of the evidence, in which alarms of earlier releases are
                found.
            cameras: names of all cameras.
            samples_per_shift: frames without an alarm kept per camera and shift; 0: none.
            max_image_bytes: limit on the images kept for training.
            problems: takes the problem of a disk that cannot be written.
            on_promise: see `OnPromise`; called on this thread.
            on_judged: see `OnJudged`; called on this thread.
            now: wall clock, UTC.
            chance: chooses the sample.
        """
        super().__init__(name="review", daemon=True)
        self.folders = folders
        self._database = ReviewDatabase(folders.database)
        self.journal = Journal(self._database)
        self._images = self._open_images(max_image_bytes)
        self._problems = problems
        self._now = now
        self._on_judged = on_judged
        self._lives = Lives(self._database, self.journal, on_promise, now)
        self._feeds = self._open_feeds(cameras, samples_per_shift, chance or random.Random())
        self._jobs: queue.Queue[Job] = queue.Queue(MOST_WAITING)
        self._images_waiting = threading.BoundedSemaphore(MOST_IMAGES_WAITING)
        self._stopping = threading.Event()

    # For the inspection threads; they return at once

    def judged(self, camera: str, calibration: Calibration, verdict: Verdict, *, alarmed: bool) -> None:
        """Take in a judged frame; `alarmed`: an alarm is active."""
        feed = self._feeds[camera]
        life = feed.begin(calibration)
        if life is not None:
            self._put(lambda: self._lives.begin(camera, life))
        slot = feed.judged(verdict, alarmed=alarmed)
        image = verdict.frame.source_image
        # A frame of a part that was held back while the camera was suspect has lost its pixels.
        if slot is not None and image.size > 0:
            self._put_image(lambda: self._images.save_sample(camera, slot, image))

    def alarm(self, alarm: Alarm, basis: AlarmBasis, verdict: Verdict | None, frame: Frame | None) -> None:
        """Take in an alarm that was raised or cleared, with its verdict or, about the camera, its frame."""
        feed = self._feeds[alarm.camera]
        if alarm.event is AlarmEvent.CLEARED:
            peak = feed.cleared() if alarm.kind is AlarmKind.DEFECT else None
            self._put(lambda: self.journal.clear(alarm.id, alarm.captured_at, peak))
            return
        life = feed.life
        run = feed.raised(verdict) if verdict is not None else None
        record = _record(alarm, basis, verdict)
        self._put(lambda: self._lives.add(record, life, run))
        shown = verdict.frame if verdict is not None else frame
        if shown is not None and alarm.kind is AlarmKind.DEFECT:
            image = shown.source_image
            self._put_image(lambda: self._images.save_alarm(alarm.camera, alarm.id, image))

    # For commands; any thread may call

    def judge(
        self, alarm: str, verdict: Judged, *, by: str, note: str | None = None, defect: str | None = None
    ) -> JudgedAlarm:
        """Judge an alarm, or change its judgement; durable when it returns. Raises Permanent for an unknown id."""
        found = self.journal.find(alarm)
        judgement = self.journal.judge(Judgement(0, found.alarm.id, verdict, by, self._now(), note, defect))
        judged = JudgedAlarm(found.alarm, (*found.judgements, judgement))
        self._put(lambda: self._lives.judged(judged))
        self._put(lambda: self._images.protect(found.alarm.id))
        self._put(self._publish)
        return judged

    def judged_scores(self, camera: str, basis: ScoreBasis) -> JudgedScores:
        """The scores of a camera's judged alarms that have this basis, and the running time of their calibrations."""
        judged = self.journal.alarms(camera=camera, judged=True)
        calibrations = {known.alarm.calibration for known in judged if known.alarm.bundle == basis.bundle}
        feed = self._feeds.get(camera)
        life = None if feed is None else feed.life
        if life is not None and life.calibration.bundle_sha256 == basis.bundle:
            calibrations.add(life.calibration.id)
        return JudgedScores.of(judged, basis, self._lives.exposure_of(camera, calibrations))

    def promise(self, camera: str) -> PromiseStatus | None:
        """The state of a camera's promise; None before its first judged frame."""
        return self._lives.status(camera)

    # The thread

    def run(self) -> None:
        """Write until `finish`."""
        self._do(lambda: self.journal.add_all(alarms_in_evidence(self.folders.evidence, self.journal.known())))
        look_at = store_at = time.monotonic()
        while not (self._stopping.is_set() and self._jobs.empty()):
            job = self._next_job(look_at)
            if job is not None:
                self._do(job)
            now = time.monotonic()
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                self._do(self._lives.look)
                self._do(self._publish)
            if now >= store_at:
                store_at = now + STORE_SECONDS
                self._do(self._store)
        self._do(self._store)

    def finish(self, timeout_seconds: float) -> bool:
        """Write what waits, then end; False if that took too long."""
        self._stopping.set()
        self._put(lambda: None)
        self.join(timeout_seconds)
        return not self.is_alive()

    def close(self) -> None:
        """Close the files; no other method may be called afterwards."""
        self._database.close()

    def _next_job(self, until_seconds: float) -> Job | None:
        try:
            return self._jobs.get(timeout=max(0.01, until_seconds - time.monotonic()))
        except queue.Empty:
            return None

    def _do(self, job: Job) -> None:
        """Try until it succeeds: an alarm is not dropped because a disk is full for a while."""
        while True:
            try:
                job()
            except Temporary as error:
                self._problems.set("review", f"alarms are not listed: {error}")
                if self._stopping.wait(RETRY_SECONDS):
                    return
            except Permanent as error:
                self._problems.set("review", f"alarms are not listed: {error}")
                return
            else:
                self._problems.set("review", None)
                return

    def _publish(self) -> None:
        """Hand judgements to the outputs, also those of before a crash."""
        for judgement in self.journal.unpublished():
            try:
                found = self.journal.find(judgement.alarm)
            except Permanent:
                found = None
            if found is not None:
                self._on_judged(JudgedAlarm(found.alarm, (judgement,)))
            self.journal.mark_published([judgement.number])

    def _store(self) -> None:
        self._lives.store_all()
        rows = [(name, feed.reservoir.shift, feed.reservoir.seen) for name, feed in self._feeds.items()]

        def work(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO reservoir VALUES (?, ?, ?)", rows)

        self._database.change(work)

    def _open_images(self, max_bytes: int) -> KeptImages:
        judged = {known.alarm.id for known in self.journal.alarms(judged=True)}
        return KeptImages(self.folders.images, max_bytes=max_bytes, judged=judged)

    def _open_feeds(self, cameras: Iterable[str], size: int, chance: random.Random) -> dict[str, CameraFeed]:
        query = "SELECT camera, shift, seen FROM reservoir"
        rows = self._database.read(lambda db: db.execute(query).fetchall())
        known = {name: (shift, seen) for name, shift, seen in rows}
        feeds = {}
        for name in cameras:
            shift, seen = known.get(name, (0, 0))
            feeds[name] = CameraFeed(Reservoir(size, chance, shift=shift, seen=seen))
        return feeds

    def _put(self, job: Job) -> None:
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._problems.set("review", "alarms are not listed: the disk does not keep up")

    def _put_image(self, save: Job) -> None:
        """Queue an image, unless too many wait for the disk: inspection never waits for them."""
        if not self._images_waiting.acquire(blocking=False):
            return

        def job() -> None:
            try:
                save()
            except (OSError, ValueError) as error:
                self._problems.set("review images", f"images for training are not kept: {error}")
            else:
                self._problems.set("review images", None)
            finally:
                self._images_waiting.release()

        self._put(job)


def _record(alarm: Alarm, basis: AlarmBasis, verdict: Verdict | None) -> AlarmRecord:
    calibration = basis.calibration
    return AlarmRecord(
        id=alarm.id,
        camera=alarm.camera,
        kind=alarm.kind.value,
        raised_at=alarm.captured_at,
        frame=alarm.frame,
        score=alarm.score,
        peak=None if verdict is None else verdict.statistic,
        threshold=alarm.threshold,
        rule=None if calibration is None else str(calibration.rule),
        calibration=None if calibration is None else calibration.id,
        bundle=basis.bundle,
        engine=basis.engine,
        origin=alarm.origin,
        reason=alarm.reason,
        crop=basis.crop,
        product=basis.product,
    )
