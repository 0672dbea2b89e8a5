"""Cameras that are devices of this machine: V4L2, USB."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import cv2

from agent.core.errors import Permanent, Temporary
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.grabber import Handle
from agent.sources.settings import video_device


class V4l2Device:
    """A V4L2 or USB camera: `/dev/video0`, its number, or a link (`/dev/v4l/by-id/…`, which survives replugging)."""

    def __init__(self, device: str | int) -> None:
        self._path = Path(video_device(device))

    def __str__(self) -> str:
        return str(self._path)

    def check(self) -> None:
        """Raise where the device is not there (`Temporary`: it can be plugged in) or is no camera (`Permanent`)."""
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError as error:
            raise Temporary(f"camera {self} does not exist: is it plugged in?") from error
        except OSError as error:
            raise Temporary(f"camera {self} cannot be found: {error.strerror or error}") from error
        if not stat.S_ISCHR(mode):
            raise Permanent(f"camera {self} is not a camera device, wanted one such as /dev/video0")
        # Temporary: the rights of a device that was just plugged in arrive a moment after it.
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise Temporary(f"camera {self} may not be opened: is this user in the group video?")

    def connect(self, wishes: CaptureSettings) -> Handle:
        """Open the device and ask for size and rate; the driver may give others."""
        capture = cv2.VideoCapture(str(self._path.resolve()), cv2.CAP_V4L2)
        asked = {
            cv2.CAP_PROP_FRAME_WIDTH: wishes.width,
            cv2.CAP_PROP_FRAME_HEIGHT: wishes.height,
            cv2.CAP_PROP_FPS: wishes.frames_per_second,
            # One buffer: the frame that comes next is the newest.
            cv2.CAP_PROP_BUFFERSIZE: 1,
        }
        for wish, value in asked.items():
            if value is not None:
                capture.set(wish, value)
        return capture

    def refusal(self) -> str:
        """Say what may be wrong: the driver does not tell."""
        return "it gives no video, or another program uses it"
