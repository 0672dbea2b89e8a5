"""The thread that makes alarms durable: it draws their images, has each output build its messages, and commits them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.alarms import ActiveAlarm, Evidence, EvidenceImage, as_captured, regions
from agent.core.clock import clock_synchronised
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Frame, Region, Verdict
from agent.outputs.group_recorder import GroupRecorder, Waiting
from agent.outputs.outbox import MAX_TOGETHER, Entry, Message, Outbox
from agent.outputs.output import AlarmContext, Output, RecordedAlarm

# Alarms that may wait for the disk; each holds its frame. If there are more, inspection waits, and live cameras drop
# frames.
MAX_WAITING = 32


@dataclass(frozen=True, slots=True)
class AlarmJob:
    """An alarm to record, with what raised or cleared it."""

    alarm: Alarm
    verdict: Verdict | None
    """The verdict behind it; None for an alarm about the camera."""
    context: AlarmContext
    frame: Frame | None = None
    """The frame of an alarm about the camera; None if there was none."""


def state_key(camera: str, kind: AlarmKind = AlarmKind.DEFECT) -> str:
    """Key of an active alarm in the outbox: one about the part, one about the camera itself."""
    return f"alarm/{camera}" if kind is AlarmKind.DEFECT else f"{kind.value}-alarm/{camera}"


class AlarmRecorder(GroupRecorder[AlarmJob]):
    """Stores alarms in the outbox, in order; alarms that wait at the same time share a commit."""

    def __init__(
        self,
        site: str,
        outputs: Sequence[Output],
        outbox: Outbox,
        evidence: Evidence,
        *,
        clock: Callable[[], float] = time.monotonic,
        clock_synchronised: Callable[[], bool | None] = clock_synchronised,
    ) -> None:
        """Args:
        site: name of the site.
        outputs: build the messages of each alarm.
        outbox: stores them.
        evidence: draws the images, and keeps copies of them.
        clock: monotonic seconds.
        clock_synchronised: whether a time server keeps the wall clock; None if that is not known.
        """
        super().__init__("recorder", "alarms", outbox, max_waiting=MAX_WAITING, max_together=MAX_TOGETHER, clock=clock)
        self._site = site
        self._outputs = outputs
        self._evidence = evidence
        self._clock_synchronised = clock_synchronised

    def put(self, job: AlarmJob) -> None:
        """Hand over an alarm; waits while too many are waiting already."""
        self._jobs.put(Waiting(job))

    def _enough(self, building_seconds: float) -> bool:
        """Drawing the images of further alarms delays the first one.

        So they join it only as long as drawing takes less time than a commit: on a slow disk they save a commit each,
        on a fast one no alarm waits for another.
        """
        return building_seconds >= self._commit_seconds

    def _entry(self, job: AlarmJob) -> Entry:
        job = _as_captured(job)
        alarm = job.alarm
        frame = job.frame if job.verdict is None else job.verdict.frame
        images, hot = self._draw(job)
        return Entry(
            alarm.camera,
            lambda sequence: self._messages(job, images, hot, sequence),
            state={state_key(alarm.camera, alarm.kind): _active_alarm(alarm)},
            captured_monotonic=None if frame is None else frame.captured_monotonic,
        )

    def _draw(self, job: AlarmJob) -> tuple[Sequence[EvidenceImage], list[Region]]:
        """Images and hot regions of an alarm that was raised; none for one that was cleared."""
        verdict, window = job.verdict, job.context.window
        if job.alarm.event is AlarmEvent.CLEARED:
            return (), []
        if verdict is None:
            return () if job.frame is None else self._evidence.save_frame(job.alarm.id, job.frame, window), []
        hot = regions(verdict.heatmap, verdict.frame.image.shape)
        images = self._evidence.save(job.alarm.id, verdict, hot, window)
        crop = job.context.crop
        return images, hot if crop is None else [crop.to_source(region) for region in hot]

    def _messages(
        self, job: AlarmJob, images: Sequence[EvidenceImage], hot: list[Region], sequence: int
    ) -> list[Message]:
        recorded = RecordedAlarm(
            job.alarm,
            sequence,
            self._site,
            job.context,
            hot,
            images,
            epoch=self._outbox.epoch,
            # The time of a file is not by this clock.
            clock_unsynchronised=job.alarm.origin is None and self._clock_synchronised() is False,
        )
        return [message for output in self._outputs for message in output.messages_for(recorded)]


def _as_captured(job: AlarmJob) -> AlarmJob:
    """The alarm with frame, heatmap and crop in the place where the camera saw the part, which may lie turned there."""
    if job.verdict is None or job.alarm.event is AlarmEvent.CLEARED:
        return job
    placed = as_captured(job.verdict.frame, job.verdict.heatmap)
    if placed.crop is None:
        return job
    verdict = replace(job.verdict, frame=placed.frame, heatmap=placed.heatmap)
    return replace(job, verdict=verdict, context=replace(job.context, crop=placed.crop))


def _active_alarm(alarm: Alarm) -> bytes:
    """The alarm for the next start of the agent; empty if it was cleared."""
    return ActiveAlarm(alarm.id, alarm.score, alarm.reason).to_json() if alarm.event is AlarmEvent.RAISED else b""
