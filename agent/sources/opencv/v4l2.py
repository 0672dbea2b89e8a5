"""Cameras attached to this machine: V4L2, USB."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import cv2

from agent.core.errors import Permanent, Temporary
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.grabber import Handle
from agent.sources.opencv.motion_jpeg import checked
from agent.sources.settings import video_device

# By this property and value, OpenCV's V4L2 backend gives the images as the camera sent them.
ENCODED = (cv2.CAP_PROP_CONVERT_RGB, 0)


class V4l2Device:
    """A V4L2 or USB camera: `/dev/video0`, its number, or a link (`/dev/v4l/by-id/…`, which survives replugging)."""

    def __init__(self, device: str | int) -> None:
        self._path = Path(video_device(device))

    def __str__(self) -> str:
        return str(self._path)

    def check(self) -> None:
        """Raise `Temporary` if the device does not exist (it may be plugged in), `Permanent` if it is not a camera."""
        try:
            mode = self._path.stat().st_mode
        except FileNotFoundError as error:
            raise Temporary(f"camera {self} does not exist: is it plugged in?") from error
        except OSError as error:
            raise Temporary(f"camera {self} cannot be accessed: {error.strerror or error}") from error
        if not stat.S_ISCHR(mode):
            raise Permanent(f"camera {self} is not a camera device, wanted one such as /dev/video0")
        # Temporary: udev sets the rights a moment after a device was plugged in.
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise Temporary(f"camera {self} may not be opened: is this user in the group video?")

    def connect(self, settings: CaptureSettings) -> Handle:
        """Open the device and request size and rate; the driver may choose others."""
        capture = cv2.VideoCapture(str(self._path.resolve()), cv2.CAP_V4L2)
        requested = {
            cv2.CAP_PROP_FRAME_WIDTH: settings.width,
            cv2.CAP_PROP_FRAME_HEIGHT: settings.height,
            cv2.CAP_PROP_FPS: settings.frames_per_second,
            # One buffer, so that the next frame is the newest.
            cv2.CAP_PROP_BUFFERSIZE: 1,
        }
        for property_id, value in requested.items():
            if value is not None:
                capture.set(property_id, value)
        # Last: the driver chooses the format for the size.
        return checked(capture, encoded=ENCODED)

    def diagnose(self) -> str:
        """Name the likely causes; the driver reports none."""
        return "it gives no video, or another program uses it"
