"""Where captured frames wait for inspection: never more than a few, and never the reason that a camera stalls."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from agent.core.records import Frame, Image
from calibration import Glance

# Enough to ride out the scheduler; more would only add latency, since inspection is never far behind.
DEFAULT_DEPTH = 4


@dataclass(frozen=True, slots=True)
class PreparedFrame:
    """A frame and what the engine is to see of it."""

    frame: Frame
    """The frame as captured."""
    pixels: Image
    """The frame fitted to the model's input, [h, w, c]."""
    glance: Glance
    """The same at a glance: what the camera's health is told by."""


@dataclass(slots=True)
class _Lane:
    live: bool
    waiting: deque[PreparedFrame] = field(default_factory=deque)
    dropped: int = 0


class FrameQueue:
    """The frames of several cameras on their way to one inspection thread.

    A live camera keeps its newest frame only, and counts the ones that gave way to it. A file or folder waits for a
    place: nothing is lost.
    """

    def __init__(self, depth: int = DEFAULT_DEPTH) -> None:
        """Args: depth: frames of one file or folder that may wait."""
        self._depth = depth
        self._lanes: dict[str, _Lane] = {}
        self._changed = threading.Condition()
        self._closed = False

    def add_camera(self, camera: str, *, live: bool) -> None:
        """Make a place for the frames of one more camera."""
        with self._changed:
            self._lanes[camera] = _Lane(live=live)

    def put(self, prepared: PreparedFrame) -> bool:
        """Hand over a frame; waits for a place unless the camera is live. False: closed, and not taken."""
        with self._changed:
            lane = self._lanes[prepared.frame.camera]
            if lane.live and lane.waiting:
                lane.waiting.clear()
                lane.dropped += 1
            while len(lane.waiting) >= self._depth and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            lane.waiting.append(prepared)
            self._changed.notify_all()
            return True

    def take(self, timeout_seconds: float) -> list[PreparedFrame]:
        """The oldest waiting frame of each camera; empty after the timeout, or when closed and drained."""
        with self._changed:
            self._changed.wait_for(self._something, timeout_seconds)
            batch = [lane.waiting.popleft() for lane in self._lanes.values() if lane.waiting]
            self._changed.notify_all()
            return batch

    def _something(self) -> bool:
        return self._closed or any(lane.waiting for lane in self._lanes.values())

    def dropped(self, camera: str) -> int:
        """Frames of this camera that gave way to a newer one."""
        with self._changed:
            return self._lanes[camera].dropped

    def close(self) -> None:
        """Take no more frames; what waits can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def drained(self) -> bool:
        """True once it is closed and nothing waits."""
        with self._changed:
            return self._closed and not any(lane.waiting for lane in self._lanes.values())

    @property
    def busy(self) -> bool:
        """True while a frame waits."""
        with self._changed:
            return any(lane.waiting for lane in self._lanes.values())
