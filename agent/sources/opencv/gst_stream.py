"""RTSP by GStreamer: decoded by the hardware of a Jetson where that is there, else in software."""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent, Temporary
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.grabber import Handle
from agent.sources.opencv.gstreamer import GstImage, Pipeline, load_gstreamer
from agent.sources.opencv.motion_jpeg import DamagedFrame
from agent.sources.opencv.rtsp import RtspStream

log = logging.getLogger(__name__)

# NVIDIA's decoder, and what brings its images into the memory of the processor.
HARDWARE = ("nvv4l2decoder", "nvvidconv")

_SOURCE = "rtspsrc name=source latency=0 protocols=tcp ! application/x-rtp,media=video ! decodebin"
_TO_MEMORY = {True: "nvvidconv ! video/x-raw,format=BGRx", False: "videoconvert ! video/x-raw,format=BGR"}
# No image waits, and none is held back until its time.
_SINK = "appsink name=frames sync=false max-buffers=1 drop=true"

# How soon an error of the pipeline is noticed.
_SLICE_SECONDS = 0.1


class GstStream(RtspStream):
    """An RTSP camera that GStreamer reads and decodes."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._problem = ""
        """Why it did not open, as GStreamer puts it."""

    def check(self) -> None:
        """Raise `Permanent` for another scheme, or without GStreamer."""
        super().check()
        if not self.over_rtsp:
            raise Permanent(f'camera {self}: decoder = "gstreamer" is for rtsp:// and rtsps://')
        load_gstreamer()

    def connect(self, settings: CaptureSettings) -> Handle:
        """Open the stream; its timeouts end a handle that was abandoned."""
        handle = GstHandle(self._url, str(self), settings)
        self._problem = handle.problem
        return handle

    def diagnose(self) -> str:
        """Find out why the stream did not open."""
        found = super().diagnose()
        no_reason = found == "it answers, but gives no video"
        return f"{found}; GStreamer: {self._problem}" if no_reason and self._problem else found


def by_hardware() -> bool:
    """Whether streams are decoded by hardware. Raises Permanent without GStreamer."""
    gst = load_gstreamer()
    return all(map(gst.has, HARDWARE))


class GstHandle:
    """An open stream, in the form of `cv2.VideoCapture`."""

    def __init__(self, url: str, name: str, settings: CaptureSettings) -> None:
        """Args: name: the URL without secrets."""
        self._url, self._name = url, name
        self._timeout_seconds = settings.read_timeout_seconds
        self.problem = ""
        """Why there is no image, without secrets."""
        description = f"{_SOURCE} ! {_TO_MEMORY[by_hardware()]} ! {_SINK}"
        timeout = round(settings.read_timeout_seconds * 1_000_000)
        self._pipeline = Pipeline(description, {"location": url, "tcp-timeout": str(timeout)})
        self._first = self._next(settings.open_timeout_seconds)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """True if the stream is open and gave an image."""
        return self._first is not None

    def read(self) -> tuple[bool, NDArray[Any]]:
        """Wait for an image: (True, pixels BGR), or (False, nothing) where the stream ends or stalls.

        Raises DamagedFrame for an image of which data are missing.
        """
        image, self._first = self._first or self._next(self._timeout_seconds), None
        if image is None:
            log.debug("camera %s: the stream has ended (%s)", self._name, self.problem or "no image in time")
            return False, np.zeros((0, 0), np.uint8)
        if not image.intact:
            raise DamagedFrame("data of it are missing")
        return True, image.pixels

    def release(self) -> None:
        """Close the stream."""
        self._pipeline.stop()

    def _next(self, timeout_seconds: float) -> GstImage | None:
        end = time.monotonic() + timeout_seconds
        try:
            while time.monotonic() < end:
                image = self._pipeline.next(_SLICE_SECONDS)
                if image is not None:
                    return image
        except Temporary as error:
            self.problem = str(error).replace(self._url, self._name)
        return None
