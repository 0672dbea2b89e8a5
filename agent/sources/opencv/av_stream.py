"""RTSP by PyAV: the camera itself says when it took each frame.

RTCP sender reports give the time by the camera's clock for a time of the stream (RFC 3550, section 6.4.1); FFmpeg
attaches it to packets as `prft`. The first report comes some seconds after the connection.
"""

from __future__ import annotations

import logging
import struct
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.grabber import Handle
from agent.sources.opencv.motion_jpeg import DamagedFrame
from agent.sources.opencv.rtsp import RtspStream
from agent.sources.settings import CameraSourceSettings

log = logging.getLogger(__name__)

# As for OpenCV (`ffmpeg_options`): no frame waits.
_OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    "flags": "low_delay",
    "probesize": "32",
    "analyzeduration": "0",
}

# AVProducerReferenceTime begins with the wall clock in microseconds.
_WALL_CLOCK = struct.Struct("<q")

# Packets whose frames have not come out of the decoder yet.
_MOST_WAITING = 64


class AvStream(RtspStream):
    """An RTSP camera whose frames have the time of capture by its own clock."""

    def check(self) -> None:
        """Raise `Permanent` for another scheme, or without PyAV."""
        super().check()
        if not self.over_rtsp:
            raise Permanent(f'camera {self}: capture_time = "sender" is for rtsp:// and rtsps://')
        try:
            import av  # noqa: F401
        except ImportError:
            raise Permanent("capture_time = \"sender\" needs the extra rtsp: pip install 'inspectd[rtsp]'") from None

    def connect(self, settings: CaptureSettings) -> Handle:
        """Open the stream; its timeouts end a handle that was abandoned."""
        return AvHandle(self._url, str(self), settings)


def sends_b_frames(settings: CameraSourceSettings) -> bool | None:
    """Whether an RTSP camera does, by its first frame; None where that cannot be found out, as without PyAV."""
    stream = AvStream(settings.url or "")
    timeouts = CaptureSettings(None, None, None, settings.open_timeout_seconds, settings.read_timeout_seconds)
    try:
        stream.check()
    except Permanent:
        return None
    handle = AvHandle(settings.url or "", str(stream), timeouts)
    try:
        return handle.has_b_frames if handle.isOpened() and handle.read()[0] else None
    except DamagedFrame:
        return None
    finally:
        handle.release()


class AvHandle:
    """An open stream, in the form of `cv2.VideoCapture`."""

    sent_at: datetime | None = None
    """When the camera took the frame that was read last, by its own clock, UTC; None: it has not told yet."""

    def __init__(self, url: str, name: str, settings: CaptureSettings) -> None:
        """Args: name: the URL without secrets."""
        import av

        self._name = name
        self._container: Any = None
        timeouts = (settings.open_timeout_seconds, settings.read_timeout_seconds)
        # An error's text has the URL in it, with the password.
        with suppress(av.error.FFmpegError):
            self._container = av.open(url, options=_OPTIONS, timeout=timeouts)
        self._frames = iter(()) if self._container is None else self._decoded()

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """True if the stream is open and has video."""
        return self._container is not None and bool(self._container.streams.video)

    def read(self) -> tuple[bool, NDArray[Any]]:
        """Wait for a frame: (True, pixels, gray or BGR), or (False, nothing) where the stream ends or stalls.

        Raises DamagedFrame for a frame of which data are missing.
        """
        import av

        try:
            frame = next(self._frames)
        except (StopIteration, av.error.FFmpegError, OSError) as error:
            log.debug("camera %s: the stream has ended (%s)", self._name, type(error).__name__)
            return False, np.zeros((0, 0), np.uint8)
        if frame.is_corrupt:
            raise DamagedFrame("data of it are missing")
        return True, frame.to_ndarray(format="gray" if frame.format.name.startswith("gray") else "bgr24")

    @property
    def has_b_frames(self) -> bool:
        """Whether the camera sends B-frames, known from the first frame on: each waits for a later one."""
        return bool(self._container.streams.video[0].codec_context.has_b_frames)

    def release(self) -> None:
        """Close the stream."""
        if self._container is not None:
            self._container.close()

    def _decoded(self) -> Iterator[Any]:
        stream = self._container.streams.video[0]
        stream.codec_context.thread_count = 1
        times: deque[tuple[int | None, datetime | None]] = deque(maxlen=_MOST_WAITING)
        warned = False
        for packet in self._container.demux(stream):
            times.append((packet.pts, _time_of(packet)))
            for frame in packet.decode():
                if self.has_b_frames and not warned:
                    warned = True
                    log.warning("camera %s sends B-frames, so each frame is late; switch them off in it", self._name)
                self.sent_at = next((sent for pts, sent in times if pts == frame.pts), None)
                yield frame


def _time_of(packet: Any) -> datetime | None:
    found = packet.get_sidedata("prft")
    if not found.data_size:
        return None
    (microseconds,) = _WALL_CLOCK.unpack_from(bytes(found))
    try:
        return datetime.fromtimestamp(microseconds / 1e6, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None
