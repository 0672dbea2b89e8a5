"""The capture thread of one camera: opens the source, reads, prepares and queues frames, reopens after a failure."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from agent.core.backoff import Backoff
from agent.core.errors import Permanent, Temporary
from agent.core.ids import file_id
from agent.core.records import Code, Frame, Image
from agent.inspection.frame_queue import FrameQueue, PreparedFrame
from agent.inspection.preparation import PreparedImage
from agent.sources import Captured, EndOfStream, FileCounts, FrameSource, TransportCounts
from calibration import glance
from engines.images import without_masked, without_padding

log = logging.getLogger(__name__)

T = TypeVar("T")

# A camera that works again must be inspected within two seconds, so the next attempt is never further away than one
# second; an attempt costs next to nothing.
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.25, 1.0

# A stream that ended every half second was reopened at the shortest wait each time, and logged 300 lines in 90 s. A
# connection that delivers for this long, seconds, has lasted.
LASTING_SECONDS = 5.0

# Interruptions of connections that do not last are summed up once in this time, seconds.
SUMMARY_SECONDS = 60.0


class CameraState(str, Enum):
    """Whether a camera delivers frames."""

    OPENING = "opening"
    DELIVERING = "delivering"
    LOST = "lost"
    """It does not open, or stopped delivering; the thread keeps trying."""
    ENDED = "ended"
    """A video file or folder has been read to its end."""
    FAILED = "failed"
    """It cannot work until a person changes something; the thread has ended."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """The state of a camera, with its reason."""

    state: CameraState
    reason: str | None = None
    """For lost and failed: the error, one line."""


class Capture(threading.Thread):
    """Reads one source until it ends or `stop` is called; frames go to the queue, errors to `status`."""

    frames_captured = 0
    _openings = 0
    _waiting = False
    _delivering_since = 0.0
    _status = CameraStatus(CameraState.OPENING)
    read_code: Callable[[Image], Code] | None = None
    """Reads the code of the part from a captured image; None: parts have none."""
    measure_presence: Callable[[Image], float] | None = None
    """The share of a captured image that differs from the empty view; None: parts are not known by that."""

    def __init__(
        self,
        camera: str,
        source: FrameSource,
        frame_queue: FrameQueue,
        prepare: Callable[[Image], PreparedImage],
        *,
        site: str = "",
        first_frame: int = 0,
        on_change: Callable[[CameraStatus], None] = lambda status: None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        camera: name of the camera.
        source: not opened yet; this thread owns it.
        frame_queue: takes the frames; the camera must have been added to it.
        prepare: from the captured image [H, W, C] to the model's input; raises Temporary or Permanent where that
            fails.
        site: name of the site; part of the ids of frames from files.
        first_frame: index of the first frame; that of a source before it counts on.
        on_change: called on this thread with every new status.
        backoff: waits between two attempts to open.
        clock: monotonic, seconds.
        """
        super().__init__(name=f"capture-{camera}", daemon=True)
        self.camera = camera
        self.frames_captured = first_frame
        self._source, self._frame_queue = source, frame_queue
        self._prepare = prepare
        self._site, self._on_change = site, on_change
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        self._stopping, self._clock = threading.Event(), clock
        self._handing_over = threading.Lock()
        """Held while a frame is prepared and queued."""
        self._changes = _ChangeLog(camera)

    @property
    def status(self) -> CameraStatus:
        """The status now."""
        return self._status

    @property
    def live(self) -> bool:
        """Whether only the newest frame counts."""
        return self._source.live

    @property
    def newest_only(self) -> bool:
        """Whether a frame that waits gives way to a newer one; not so if triggered: each shows another part."""
        return self._source.live and not self._source.triggered

    @property
    def idle(self) -> bool:
        """True while no frame is expected: between two attempts to open, after the end, and for files, folders and
        cameras that wait for a trigger."""
        return self._waiting or not self.newest_only or self._status.state in (CameraState.ENDED, CameraState.FAILED)

    @property
    def files(self) -> FileCounts | None:
        """Files that the source was given and did not deliver; None for a source without image files."""
        return self._source.files

    @property
    def damaged(self) -> int:
        """Frames that arrived damaged since the agent started, and were not delivered."""
        return self._source.damaged

    @property
    def transport(self) -> TransportCounts | None:
        """What was lost and sent again on the way from the camera; None where the source does not know."""
        return self._source.transport

    @property
    def waiting(self) -> str | None:
        """Why the source has no frame at the moment, though nothing is wrong, in words; None otherwise."""
        return self._source.waiting

    def trigger(self, monotonic_seconds: float, frames: int) -> None:
        """A part was announced at this time: a camera with a software trigger takes so many frames of it."""
        self._source.trigger(monotonic_seconds, frames)

    def hold(self) -> None:
        """The camera is armed: what it adjusts by itself is to stay."""
        self._source.hold()

    def between_frames(self, change: Callable[[], T]) -> T:
        """Run `change` while no frame is handed over, and return its result; it may call `redirect`."""
        with self._handing_over:
            return change()

    def redirect(self, frame_queue: FrameQueue, prepare: Callable[[Image], PreparedImage]) -> None:
        """Prepare the next frames in this way, and put them into this queue. Call it within `between_frames`."""
        self._frame_queue, self._prepare = frame_queue, prepare

    def stop(self) -> None:
        """Ask the thread to end, and return at once: it may be inside a read."""
        self._stopping.set()
        self._source.cancel()

    def run(self) -> None:
        """Open and read, again and again, until the source ends or `stop` is called."""
        while not self._stopping.is_set():
            try:
                status = self._session()
                # Before the source is closed, which may take seconds.
                if status is not None:
                    self._set_status(status)
            finally:
                self._source.close()
            if status is not None:
                if status.state is not CameraState.LOST:
                    break
                self._waiting = True
                self._stopping.wait(self._backoff.next_seconds())
                self._waiting = False

    def _session(self) -> CameraStatus | None:
        """Open, and read until the source ends or fails. None where `stop` was called."""
        try:
            self._source.open()
            self._openings += 1
            self._deliver()
        except Temporary as error:
            # A read that was cancelled ends like one of a camera that is lost.
            return None if self._stopping.is_set() else CameraStatus(CameraState.LOST, str(error))
        except EndOfStream:
            return CameraStatus(CameraState.ENDED)
        except Permanent as error:
            return CameraStatus(CameraState.FAILED, str(error))
        return None

    def _deliver(self) -> None:
        while not self._stopping.is_set():
            captured = self._source.read()
            with self._handing_over:
                prepared = self._fit(captured)
                if prepared is None:
                    continue
                if self._stopping.is_set() or not self._frame_queue.put(prepared):
                    return
            self.frames_captured += 1
            self._set_status(CameraStatus(CameraState.DELIVERING))
            if self._clock() - self._delivering_since >= LASTING_SECONDS:
                self._backoff.reset()
                self._changes.lasting(self._clock())

    def _fit(self, captured: Captured) -> PreparedFrame | None:
        """The frame with the model's input; None where the image was rejected."""
        try:
            image = self._prepare(captured.image)
        except Permanent as error:
            self._reject(captured, str(error))
            return None
        except Exception as error:
            if not self._source.uses_ledger:
                raise
            # Whatever the cause, it concerns this file; the next one may fit.
            log.debug("camera %s: unexpected error", self.camera, exc_info=True)
            self._source.reject(captured, f"cannot be fitted to the model ({error!r})")
            return None
        return self._prepared(captured, image)

    def _reject(self, captured: Captured, reason: str) -> None:
        """An image does not fit the model. Raises unless the next one of this source may fit.

        A live camera that has fitted before may do so again once it is reopened; one that never has needs a person.
        """
        if self._source.live and self.frames_captured > 0:
            raise Temporary(reason)
        self._source.reject(captured, reason)

    def _prepared(self, captured: Captured, image: PreparedImage) -> PreparedFrame:
        frame = Frame(
            camera=self.camera,
            index=self.frames_captured,
            captured_at=captured.captured_at,
            captured_monotonic=captured.captured_monotonic,
            image=image.inspected,
            origin=captured.origin,
            source=None if image.inspected is captured.image else captured.image,
            file=captured.file if self._source.uses_ledger else None,
            id=None if captured.file is None else file_id(self._site, self.camera, captured.file),
            content=image.content,
            excluded=image.excluded,
            to_source=image.to_source,
            not_found=image.not_found,
            code=None if self.read_code is None else self.read_code(captured.image),
            triggered_monotonic=captured.triggered_monotonic,
            lost_before=captured.lost_before,
            presence=None if self.measure_presence is None else self.measure_presence(captured.image),
        )
        seen = glance(without_masked(without_padding(image.pixels, frame.content), frame.excluded))
        return PreparedFrame(frame, image.pixels, seen, self._openings if self._source.live else None)

    def _set_status(self, status: CameraStatus) -> None:
        if status == self._status:
            return
        previous, self._status, now = self._status, status, self._clock()
        if status.state is CameraState.DELIVERING:
            self._delivering_since = now
        self._changes.add(previous, status, now)
        self._on_change(status)


class _ChangeLog:
    """Logs a camera's changes of state: the first failure WARNING, repeats DEBUG with a summary, recovery INFO."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._troubled_since: float | None = None
        """Monotonic time of the first interruption, seconds; None once a connection has lasted."""
        self._interruptions = 0
        """Since then."""
        self._summed_up_at, self._summed_up = 0.0, 0

    def add(self, previous: CameraStatus, status: CameraStatus, now: float) -> None:
        """Log a change of state at the monotonic time `now`, seconds."""
        fields = {"camera": self._camera, "state": status.state.value}
        if status.state is CameraState.FAILED:
            log.error("camera %s: %s", self._camera, status.reason, extra=fields)
        elif status.state is CameraState.LOST:
            first = self._troubled_since is None and previous.state is not CameraState.LOST
            level = logging.WARNING if first else logging.DEBUG
            log.log(level, "camera %s: %s; trying again", self._camera, status.reason, extra=fields)
            self._interrupted(previous, status, now)
        else:
            level = logging.DEBUG if self._interruptions > 1 else logging.INFO
            log.log(level, "camera %s: %s", self._camera, status.state.value, extra=fields)

    def lasting(self, now: float) -> None:
        """The connection has lasted: the next interruption is a first one."""
        if self._troubled_since is not None and self._interruptions > 1:
            text = "camera %s: delivering, after %d interruptions in %.0f s"
            log.info(text, self._camera, self._interruptions, now - self._troubled_since)
        self._troubled_since, self._interruptions = None, 0

    def _interrupted(self, previous: CameraStatus, status: CameraStatus, now: float) -> None:
        if self._troubled_since is None:
            self._troubled_since, self._summed_up_at, self._summed_up = now, now, 1
        self._interruptions += previous.state is not CameraState.LOST
        new = self._interruptions - self._summed_up
        if new > 0 and now - self._summed_up_at >= SUMMARY_SECONDS:
            text = "camera %s: interrupted %d more times in %.0f s, the last time: %s"
            log.warning(text, self._camera, new, now - self._summed_up_at, status.reason)
            self._summed_up_at, self._summed_up = now, self._interruptions
