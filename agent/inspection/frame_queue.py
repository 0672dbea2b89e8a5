"""The queue between capture and inspection: short, and a live camera never waits for it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from agent.core.records import Frame, Image
from calibration import Glance

# Enough to cover delays of the scheduler; more would only add latency.
DEFAULT_DEPTH = 4


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """A frame with its input to the engine."""

    frame: Frame
    """The frame; its image is the part that is inspected."""
    pixels: Image
    """The image fitted to the model's input, [h, w, c]."""
    glance: Glance
    """Measures of `pixels` by which camera faults are detected."""
    opening: int | None = None
    """How often the camera had been opened when it gave this frame; None for files, whose light does not settle."""


@dataclass(slots=True)
class _CameraQueue:
    newest_only: bool
    waiting: deque[PreparedFrame] = field(default_factory=deque)
    dropped: int = 0


class FrameQueue:
    """Frames of several cameras for one inspection thread. Thread safe.

    Of a camera that runs freely only the newest frame is kept; older ones are dropped and counted. A triggered camera,
    a file or a folder waits for space, so that no frame is lost.
    """

    def __init__(self, depth: int = DEFAULT_DEPTH) -> None:
        """Args: depth: how many frames of one source may wait of which none is dropped."""
        self._depth = depth
        self._cameras: dict[str, _CameraQueue] = {}
        self._changed = threading.Condition()
        self._closed = False

    def add_camera(self, camera: str, *, newest_only: bool) -> None:
        """Add a camera; its frames may be put from now on. `newest_only`: a waiting one gives way to a newer one."""
        with self._changed:
            self._cameras[camera] = _CameraQueue(newest_only)

    def remove_camera(self, camera: str) -> None:
        """Remove a camera, whose frames go elsewhere from now on; what waits of it is discarded."""
        with self._changed:
            self._cameras.pop(camera, None)
            self._changed.notify_all()

    def holds(self, camera: str) -> bool:
        """Whether a frame of this camera waits."""
        with self._changed:
            queue = self._cameras.get(camera)
            return queue is not None and bool(queue.waiting)

    def put(self, prepared: PreparedFrame) -> bool:
        """Put a frame; waits for space where none is dropped. False where the queue is closed: nothing is taken."""
        with self._changed:
            queue = self._cameras.get(prepared.frame.camera)
            if queue is None:
                return False
            if queue.newest_only and queue.waiting:
                queue.waiting.clear()
                queue.dropped += 1
            while len(queue.waiting) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            queue.waiting.append(prepared)
            self._changed.notify_all()
            return True

    def take(self, timeout_seconds: float) -> list[PreparedFrame]:
        """The oldest waiting frame of each camera; empty after the timeout, or where the queue is closed and empty."""
        with self._changed:
            self._changed.wait_for(self._ready, timeout_seconds)
            batch = [queue.waiting.popleft() for queue in self._cameras.values() if queue.waiting]
            self._changed.notify_all()
            return batch

    def _ready(self) -> bool:
        return self._closed or any(queue.waiting for queue in self._cameras.values())

    def dropped(self, camera: str) -> int:
        """How many frames of this camera were dropped for newer ones."""
        with self._changed:
            queue = self._cameras.get(camera)
            return 0 if queue is None else queue.dropped

    def close(self) -> None:
        """Accept no more frames; the waiting ones can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """True once it is closed and no frame waits."""
        with self._changed:
            return self._closed and not any(queue.waiting for queue in self._cameras.values())

    @property
    def busy(self) -> bool:
        """True while a frame waits."""
        with self._changed:
            return any(queue.waiting for queue in self._cameras.values())
