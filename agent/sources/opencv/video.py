"""A video file, frame by frame to its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import cv2
from numpy.typing import NDArray

from agent.core.clock import Pace, utc_now
from agent.core.errors import Permanent
from agent.core.records import FileVersion
from agent.sources.damage_count import DamageCount
from agent.sources.opencv.ffmpeg_options import DEFAULT, ffmpeg_options
from agent.sources.opencv.images import mute_opencv, to_image
from agent.sources.opencv.motion_jpeg import DamagedFrame, MotionJpeg, checked
from agent.sources.settings import VideoSettings
from agent.sources.source import Captured, EndOfStream, FrameSource

log = logging.getLogger(__name__)


class VideoSource(FrameSource):
    """The frames of a video file; none is lost.

    path: the file, in any format that OpenCV's FFmpeg reads.
    frames_per_second: pace; None reads as fast as the caller asks. The rate of the video itself is not used.
    """

    live = False

    def __init__(
        self,
        path: Path | str,
        *,
        frames_per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._path = Path(path)
        self._pace = Pace(frames_per_second, clock, sleep)
        self._clock, self._now = clock, now
        self._damage = DamageCount(self.describe, clock)
        self._capture: cv2.VideoCapture | MotionJpeg | None = None
        self._frames_read = 0
        self._frames_damaged = 0
        self._file = FileVersion(self._path.name, 0, 0)

    @property
    def damaged(self) -> int:
        """Frames of the file that are damaged, since the agent started."""
        return self._damage.count

    def describe(self) -> str:
        """Name the source."""
        return f"video {self._path}"

    def _open(self) -> None:
        """Open the video at its first frame."""
        mute_opencv()
        if not self._path.is_file():
            raise Permanent(f"{self.describe()} {'is not a file' if self._path.exists() else 'does not exist'}")
        with ffmpeg_options.use(DEFAULT):
            capture = checked(cv2.VideoCapture(str(self._path.absolute()), cv2.CAP_FFMPEG))
        if not capture.isOpened():
            capture.release()
            raise Permanent(f"{self.describe()} cannot be opened: not a video, or damaged")
        self._capture = capture
        status = self._path.stat()
        self._file = FileVersion(self._path.name, status.st_size, status.st_mtime_ns)
        self._frames_read = self._frames_damaged = 0
        self._pace.restart()

    def _read(self) -> Captured:
        assert self._capture is not None
        pixels = self._next(self._capture)
        file = replace(self._file, frame=self._frames_read + self._frames_damaged)
        self._frames_read += 1
        self._pace.wait()
        return Captured(to_image(pixels, self.describe()), self._now(), self._clock(), self._path.name, file)

    def _next(self, capture: cv2.VideoCapture | MotionJpeg) -> NDArray[Any]:
        """The pixels of the next frame that is intact. Raises as `_end` does."""
        while True:
            try:
                decoded, pixels = capture.read()
            except DamagedFrame as error:
                self._frames_damaged += 1
                self._damage.add(str(error))
                continue
            if not decoded:
                self._end(capture)
            return pixels

    def _end(self, capture: cv2.VideoCapture | MotionJpeg) -> NoReturn:
        """Raise `EndOfStream`, or `Permanent` for a video without frames. A video that ends early is logged."""
        expected = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if self._frames_read == 0:
            raise Permanent(f"{self.describe()} has no readable frame")
        # Containers compute the count from duration and rate, which can be one off.
        if expected - self._frames_read - self._frames_damaged > 1:
            log.warning("%s ends early: %d frames of %d could be read", self.describe(), self._frames_read, expected)
        raise EndOfStream

    def _close(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def from_settings(settings: VideoSettings, *, quarantine_directory: Path) -> VideoSource:
    """The video file that the settings name. It puts nothing into quarantine."""
    return VideoSource(settings.path, frames_per_second=settings.frames_per_second)
