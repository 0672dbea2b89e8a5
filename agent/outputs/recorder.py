"""The thread that makes an alarm durable: images, document, outbox. What it has accepted will arrive."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.alarms import ActiveAlarm, Evidence, EvidenceImage, regions
from agent.core.backoff import Backoff
from agent.core.errors import Temporary
from agent.core.records import Alarm, AlarmEvent, AlarmKind, Frame, Region, Verdict
from agent.outputs.outbox import MAX_TOGETHER, Entry, Message, Outbox
from agent.outputs.output import AlarmContext, Output, RecordedAlarm

log = logging.getLogger(__name__)

# Alarms that may wait for the disk; each holds its frame. Beyond that inspection waits, and live cameras drop frames.
MAX_WAITING = 32


@dataclass(frozen=True, slots=True)
class AlarmJob:
    """An alarm with what it was raised or cleared by."""

    alarm: Alarm
    verdict: Verdict | None
    """The verdict behind it; None for an alarm that is about the camera."""
    context: AlarmContext
    frame: Frame | None = None
    """The frame of an alarm about the camera; None where none came."""


def state_key(camera: str, kind: AlarmKind = AlarmKind.DEFECT) -> str:
    """Under which the outbox keeps an open alarm: one about the part, one about the camera itself."""
    return f"alarm/{camera}" if kind is AlarmKind.DEFECT else f"{kind.value}-alarm/{camera}"


class AlarmRecorder(threading.Thread):
    """Takes alarms in order and has them accepted by the outbox; those that wait at the same time share a commit."""

    def __init__(
        self,
        site: str,
        outputs: Sequence[Output],
        outbox: Outbox,
        evidence: Evidence,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="acceptance", daemon=True)
        self._site = site
        self._outputs = outputs
        self._outbox = outbox
        self._evidence = evidence
        self._waiting: queue.Queue[AlarmJob | None] = queue.Queue(MAX_WAITING)
        self._giving_up = threading.Event()
        self._clock = clock
        self._commit_seconds = 0.0
        """What the last commit took."""

    def put(self, judged: AlarmJob) -> None:
        """Hand over an alarm; waits while too many wait already."""
        self._waiting.put(judged)

    def finish(self, timeout_seconds: float) -> bool:
        """Accept what waits, then end; False where that took too long (a full disk) and alarms were lost."""
        try:
            self._waiting.put(None, timeout=timeout_seconds)
        except queue.Full:
            return False
        self.join(timeout_seconds)
        self._giving_up.set()
        return not self.is_alive()

    def run(self) -> None:
        """Until `finish`."""
        last = False
        while not last:
            group, last = self._next_group()
            if group:
                self._accept(group)

    def _next_group(self) -> tuple[list[Entry], bool]:
        """The next alarm and others that wait already; and whether `finish` came behind them.

        Drawing the images of the others keeps the first one waiting. So they are taken along only as long as that
        takes no longer than a commit does: on a slow disk they save each other one, on a fast one nobody waits.
        """
        group: list[Entry] = []
        begun = self._clock()
        while len(group) < MAX_TOGETHER:
            try:
                judged = self._waiting.get(block=not group)
            except queue.Empty:
                break
            if judged is None:
                return group, True
            begun = begun if group else self._clock()
            group.append(self._entry(judged))
            if self._clock() - begun >= self._commit_seconds:
                break
        return group, False

    def _accept(self, group: list[Entry]) -> None:
        """Until they are accepted: an alarm is not given up because a disk is full for a while."""
        backoff = Backoff(0.1, 5.0)
        while not self._giving_up.is_set():
            begun = self._clock()
            try:
                self._outbox.accept_together(group)
            except Temporary as error:
                log.warning("%d alarms wait: %s", len(group), error)
                self._giving_up.wait(backoff.next_seconds())
            else:
                self._commit_seconds = self._clock() - begun
                return

    def _entry(self, judged: AlarmJob) -> Entry:
        alarm = judged.alarm
        frame = judged.frame if judged.verdict is None else judged.verdict.frame
        images, hot = self._look(judged)
        return Entry(
            alarm.camera,
            lambda sequence: self._messages(judged, images, hot, sequence),
            state={state_key(alarm.camera, alarm.kind): _open_alarm(alarm)},
            captured_monotonic=None if frame is None else frame.captured_monotonic,
        )

    def _look(self, judged: AlarmJob) -> tuple[Sequence[EvidenceImage], list[Region]]:
        """The images and hot regions of an alarm that was raised; a cleared one has none."""
        verdict = judged.verdict
        if judged.alarm.event is AlarmEvent.CLEARED:
            return (), []
        if verdict is None:
            return self._evidence.save_frame(judged.alarm.id, judged.frame) if judged.frame is not None else (), []
        hot = regions(verdict.heatmap, verdict.frame.image.shape)
        images = self._evidence.save(judged.alarm.id, verdict, hot)
        crop = judged.context.crop
        if crop is not None:
            hot = [replace(region, x=region.x + crop.x, y=region.y + crop.y) for region in hot]
        return images, hot

    def _messages(
        self, judged: AlarmJob, images: Sequence[EvidenceImage], hot: list[Region], sequence: int
    ) -> list[Message]:
        recorded = RecordedAlarm(judged.alarm, sequence, self._site, judged.context, hot, images)
        return [message for output in self._outputs for message in output.messages_for(recorded)]


def _open_alarm(alarm: Alarm) -> bytes:
    """What the next start has to know of this camera's alarm."""
    return ActiveAlarm(alarm.id, alarm.score, alarm.reason).to_json() if alarm.event is AlarmEvent.RAISED else b""
