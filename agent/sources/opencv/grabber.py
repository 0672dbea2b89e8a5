"""A thread that owns a camera's handle, so that a call of OpenCV that hangs blocks nothing else."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import cv2
from numpy.typing import NDArray

from agent.core.clock import utc_now
from agent.sources.opencv.motion_jpeg import DamagedFrame

log = logging.getLogger(__name__)


# A frame is some hundred milliseconds old at most, and clocks that a time server sets agree within less. What differs
# by more is a clock that nobody sets.
MAX_AGE_SECONDS, MAX_AHEAD_SECONDS = 10.0, 1.0


class Handle(Protocol):
    """The part of `cv2.VideoCapture` that is used. One that knows when its camera took the last frame has `sent_at`."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """True if the camera is open."""

    def read(self) -> tuple[bool, NDArray[Any]]:
        """Wait for a frame: (True, pixels), or (False, anything) if there is none. May raise `DamagedFrame`."""

    def release(self) -> None:
        """Release the camera."""


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A frame as the camera's thread received it."""

    pixels: NDArray[Any]
    captured_at: datetime
    captured_monotonic: float


class Grabber(threading.Thread):
    """Opens a camera, keeps its newest frame, and releases the camera, all on its own thread.

    The caller's methods never wait longer than their timeouts. A handle that hangs is abandoned; its thread releases it
    if the call ever returns.
    """

    def __init__(
        self,
        connect: Callable[[], Handle],
        *,
        on_damaged: Callable[[str], None] = lambda reason: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Args:
        connect: opens the camera.
        on_damaged: called on this thread with the reason for each frame that arrived damaged.
        clock: monotonic, seconds.
        now: wall clock, UTC.
        """
        super().__init__(name="camera-grabber", daemon=True)
        self.damaged = 0
        """Frames that arrived damaged."""
        self._on_damaged = on_damaged
        self._connect = connect
        self._clock, self._now = clock, now
        self._changed = threading.Condition()
        self._opened: bool | None = None
        self._ended = False
        self._stopping = False
        self._newest: Grabbed | None = None
        self._clock_reported = False
        self.times_by_sender = False
        """Whether the latest frame has the time of the camera's clock."""
        self._latest = -math.inf
        """Monotonic time of the latest frame, seconds: it never goes back."""

    def run(self) -> None:
        """Open the camera, read until `stop` is called or the camera ends, release it."""
        handle: Handle | None = None
        try:
            handle = self._connect()
            opened = handle.isOpened()
            self._update(opened=opened)
            while opened and not self._stopping:
                try:
                    received, pixels = handle.read()
                except DamagedFrame as error:
                    self.damaged += 1
                    self._on_damaged(str(error))
                    continue
                if not received:
                    break
                self._update(newest=self._grabbed(handle, pixels))
        except cv2.error as error:
            log.debug("OpenCV raised: %s", error)
        finally:
            if handle is not None:
                handle.release()
            self._update(opened=False, ended=True)

    def _grabbed(self, handle: Handle, pixels: NDArray[Any]) -> Grabbed:
        """The frame with its time: that of the camera where it gives one that can be right, else that of arrival."""
        now, monotonic = self._now(), self._clock()
        sent: datetime | None = getattr(handle, "sent_at", None)
        age = 0.0 if sent is None else (now - sent).total_seconds()
        if not -MAX_AHEAD_SECONDS <= age <= MAX_AGE_SECONDS:
            if not self._clock_reported:
                text = "a camera's clock is %.0f s off; its frames have the time of their arrival: set its time server"
                log.warning(text, abs(age))
            self._clock_reported, sent, age = True, None, 0.0
        self.times_by_sender = sent is not None
        self._latest = max(self._latest, monotonic - max(0.0, age))
        return Grabbed(pixels, sent or now, self._latest)

    def wait_open(self, timeout_seconds: float) -> bool | None:
        """Wait for the result of opening: True if it is open, False if opening failed, None after the timeout."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened is not None, timeout_seconds)
            return self._opened

    def take(self, timeout_seconds: float) -> Grabbed | None:
        """Wait for a frame that was not taken yet; None after the timeout, or if the camera has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, timeout_seconds)
            newest, self._newest = self._newest, None
            return newest

    @property
    def ended(self) -> bool:
        """True once the camera gives no more frames and the handle is released."""
        return self._ended

    def stop(self, timeout_seconds: float) -> bool:
        """Let the thread release the camera and end; False if it has not ended after the timeout."""
        self._stopping = True
        self.join(timeout_seconds)
        return not self.is_alive()

    def _update(self, *, opened: bool | None = None, newest: Grabbed | None = None, ended: bool = False) -> None:
        with self._changed:
            if self._opened is None:
                self._opened = opened
            self._newest = newest or self._newest
            self._ended = self._ended or ended
            self._changed.notify_all()
