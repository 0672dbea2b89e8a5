"""One thread for one camera: it opens, reads, prepares and hands on, and opens again when the camera fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from agent.core.backoff import Backoff
from agent.core.errors import Permanent, Temporary
from agent.core.records import Frame, Image
from agent.inspection.frame_queue import FrameQueue, PreparedFrame
from agent.sources import Captured, EndOfStream, FrameSource
from calibration import glance

log = logging.getLogger(__name__)

# A camera that is back is inspected within two seconds, so it is never left alone for longer than one; an attempt costs
# next to nothing.
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.25, 1.0


class CameraState(str, Enum):
    """What a camera is doing."""

    OPENING = "opening"
    DELIVERING = "delivering"
    LOST = "lost"
    """It does not open, or stopped; it is tried again."""
    ENDED = "ended"
    """A file or folder has been read to its end."""
    FAILED = "failed"
    """It cannot work until somebody changes something."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """A camera's state, and why."""

    state: CameraState
    reason: str | None = None
    """For lost and failed: what is wrong, one line."""


class Capture(threading.Thread):
    """Drives one source until it ends or is told to stop; frames go to the intake, trouble into `status`."""

    def __init__(
        self,
        camera: str,
        source: FrameSource,
        intake: FrameQueue,
        prepare: Callable[[Image], tuple[Image, Image]],
        *,
        on_change: Callable[[CameraStatus], None] = lambda status: None,
        backoff: Backoff | None = None,
    ) -> None:
        """Args:
        camera: its name.
        source: not opened yet; this thread owns it.
        intake: where the frames go; must know the camera already.
        prepare: from the picture as captured to (picture as inspected, the model's input); raises Temporary or
            Permanent when it cannot.
        on_change: called on this thread with every new status.
        backoff: between two attempts to open.
        """
        super().__init__(name=f"capture-{camera}", daemon=True)
        self.camera = camera
        self.frames_captured = 0
        self._source = source
        self._intake = intake
        self._prepare = prepare
        self._on_change = on_change
        self._backoff = backoff or Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        self._stopping = threading.Event()
        self._waiting = False
        self._status = CameraStatus(CameraState.OPENING)

    @property
    def status(self) -> CameraStatus:
        """What the camera is doing now."""
        return self._status

    @property
    def idle(self) -> bool:
        """True while no frame is due: between two attempts to open, at the end, from files still to come."""
        return self._waiting or not self._source.live or self._status.state in (CameraState.ENDED, CameraState.FAILED)

    def stop(self) -> None:
        """Ask the thread to end; it may be inside a read, so this does not wait."""
        self._stopping.set()

    def run(self) -> None:
        """Open, read, and again, until the stream ends or `stop` is called."""
        while not self._stopping.is_set():
            status = self._session()
            if status is not None:
                self._set_status(status)
                if status.state is not CameraState.LOST:
                    break
                self._waiting = True
                self._stopping.wait(self._backoff.next_seconds())
                self._waiting = False

    def _session(self) -> CameraStatus | None:
        """Open, read until something happens, close. None: told to stop."""
        try:
            self._source.open()
            self._deliver()
        except Temporary as error:
            return CameraStatus(CameraState.LOST, str(error))
        except EndOfStream:
            return CameraStatus(CameraState.ENDED)
        except Permanent as error:
            return CameraStatus(CameraState.FAILED, str(error))
        finally:
            self._source.close()
        return None

    def _deliver(self) -> None:
        while not self._stopping.is_set():
            captured = self._source.read()
            inspected, pixels = self._prepare(captured.image)
            if self._stopping.is_set() or not self._intake.put(self._prepared(captured, inspected, pixels)):
                return
            self.frames_captured += 1
            self._set_status(CameraStatus(CameraState.DELIVERING))
            self._backoff.reset()

    def _prepared(self, captured: Captured, inspected: Image, pixels: Image) -> PreparedFrame:
        frame = Frame(
            camera=self.camera,
            index=self.frames_captured,
            captured_at=captured.captured_at,
            captured_monotonic=captured.captured_monotonic,
            image=inspected,
            origin=captured.origin,
        )
        return PreparedFrame(frame, pixels, glance(pixels))

    def _set_status(self, status: CameraStatus) -> None:
        if status == self._status:
            return
        previous, self._status = self._status, status
        _log_change(self.camera, previous, status)
        self._on_change(status)


def _log_change(camera: str, previous: CameraStatus, status: CameraStatus) -> None:
    """First failure a warning, repeats quiet, recovery said."""
    fields = {"camera": camera, "state": status.state.value}
    if status.state is CameraState.FAILED:
        log.error("camera %s: %s", camera, status.reason, extra=fields)
    elif status.state is CameraState.LOST:
        level = logging.DEBUG if previous.state is CameraState.LOST else logging.WARNING
        log.log(level, "camera %s: %s; trying again", camera, status.reason, extra=fields)
    else:
        log.info("camera %s: %s", camera, status.state.value, extra=fields)
