"""A thread that alone touches a camera's handle, so that a call of OpenCV that hangs holds nobody else."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import cv2
from numpy.typing import NDArray

from agent.core.clock import utc_now

log = logging.getLogger(__name__)


class Handle(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """True where the camera was opened."""

    def read(self) -> tuple[bool, NDArray[Any]]:
        """Wait for a frame: (True, pixels), or (False, nothing)."""

    def release(self) -> None:
        """Give the camera back."""


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A frame as the camera's thread took it."""

    pixels: NDArray[Any]
    captured_at: datetime
    captured_monotonic: float


class Grabber(threading.Thread):
    """Opens a camera, keeps its newest frame, and gives the camera back, all on a thread of its own.

    Nothing that the caller does waits longer than the time it names: a handle that hangs is abandoned, and its own
    thread releases it if it ever comes back.
    """

    def __init__(
        self,
        connect: Callable[[], Handle],
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(name="camera-grabber", daemon=True)
        self._connect = connect
        self._clock, self._now = clock, now
        self._changed = threading.Condition()
        self._opened: bool | None = None
        self._ended = False
        self._stopping = False
        self._newest: Grabbed | None = None

    def run(self) -> None:
        """Open, read until told to stop or the camera ends, release."""
        handle: Handle | None = None
        try:
            handle = self._connect()
            opened = handle.isOpened()
            self._tell(opened=opened)
            while opened and not self._stopping:
                got, pixels = handle.read()
                if not got:
                    break
                self._tell(newest=Grabbed(pixels, self._now(), self._clock()))
        except cv2.error as error:
            log.debug("OpenCV gave up: %s", error)
        finally:
            if handle is not None:
                handle.release()
            self._tell(opened=False, ended=True)

    def wait_open(self, timeout_seconds: float) -> bool | None:
        """Wait until the camera is open: True; False where it refused, None where it has not answered in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened is not None, timeout_seconds)
            return self._opened

    def take(self, timeout_seconds: float) -> Grabbed | None:
        """Wait for a frame that nobody has had yet; None where none came in time or the camera has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, timeout_seconds)
            newest, self._newest = self._newest, None
            return newest

    @property
    def ended(self) -> bool:
        """True once the camera gives no more frames and the handle is released."""
        return self._ended

    def stop(self, timeout_seconds: float) -> bool:
        """Ask the thread to release the camera and end, and wait a while for that; False where it hangs."""
        self._stopping = True
        self.join(timeout_seconds)
        return not self.is_alive()

    def _tell(self, *, opened: bool | None = None, newest: Grabbed | None = None, ended: bool = False) -> None:
        with self._changed:
            if self._opened is None:
                self._opened = opened
            self._newest = newest or self._newest
            self._ended = self._ended or ended
            self._changed.notify_all()
