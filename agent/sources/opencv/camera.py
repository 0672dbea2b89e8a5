"""Live cameras through OpenCV: V4L2 and USB by device, network cameras by URL."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.core.clock import Pace, utc_now
from agent.core.errors import Permanent, Temporary
from agent.sources.opencv.address import Address, CaptureSettings
from agent.sources.opencv.grabber import Grabbed, Grabber
from agent.sources.opencv.images import silence, to_image
from agent.sources.opencv.rtsp import RtspStream
from agent.sources.opencv.v4l2 import V4l2Device
from agent.sources.settings import CameraSourceSettings
from agent.sources.source import Captured, FrameSource

log = logging.getLogger(__name__)

# A healthy camera is released within two frames; V4L2 must be, before the same device can be opened again.
RELEASE_SECONDS = 0.5

# Every abandoned handle keeps a thread and its buffers until OpenCV's own timeouts end it (V4L2 10 s, FFmpeg 3 x ours).
# More than this at once means that they do not end, and then the service must not fill up with them.
MAX_ABANDONED = 4


def find_address(address: str | int) -> Address:
    """Tell a URL from a device: whatever has a scheme is a URL."""
    return RtspStream(address) if isinstance(address, str) and "://" in address else V4l2Device(address)


class CameraSource(FrameSource):
    """A live camera behind OpenCV; the newest frame is the one that `read` returns.

    address: URL (rtsp://…), device (/dev/video0) or number of a device; or an `Address` of another kind.
    width, height: pixels; asked of the camera where it can be asked, and demanded of its frames. None takes what comes.
    frames_per_second: asked of the camera where it can be asked; frames beyond it are left out. None takes what comes.
    open_timeout_seconds: the camera must be open by then.
    read_timeout_seconds: from one frame to the next.
    """

    live = True

    def __init__(
        self,
        address: str | int | Address,
        *,
        width: int | None = None,
        height: int | None = None,
        frames_per_second: float | None = None,
        open_timeout_seconds: float = 5.0,
        read_timeout_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._address = find_address(address) if isinstance(address, (str, int)) else address
        self._wishes = CaptureSettings(width, height, frames_per_second, open_timeout_seconds, read_timeout_seconds)
        self._pace = Pace(frames_per_second, clock, sleep)
        self._clock, self._now = clock, now
        self._grabber: Grabber | None = None
        self._abandoned: list[Grabber] = []
        self._size: tuple[int, int] | None = None
        self._earlier_size: tuple[int, int] | None = None

    def describe(self) -> str:
        """Name the source, without passwords."""
        return f"camera {self._address}"

    def _open(self) -> None:
        silence()
        self._address.check()
        self._abandoned = [grabber for grabber in self._abandoned if grabber.is_alive()]
        if len(self._abandoned) > MAX_ABANDONED:
            raise Temporary(f"{self.describe()} hangs: {len(self._abandoned)} attempts to read it have not come back")
        self._grabber = Grabber(
            functools.partial(self._address.connect, self._wishes), clock=self._clock, now=self._now
        )
        self._grabber.start()
        opened = self._grabber.wait_open(self._wishes.open_timeout_seconds)
        if not opened:
            self._close()
            patience = f" within {self._wishes.open_timeout_seconds:g} s" if opened is None else ""
            raise Temporary(f"{self.describe()} does not open{patience}: {self._address.refusal()}")
        self._size, self._earlier_size = None, self._size or self._earlier_size
        self._pace.restart()

    def _read(self) -> Captured:
        assert self._grabber is not None
        self._pace.wait()
        grabbed = self._grabber.take(self._wishes.read_timeout_seconds)
        if grabbed is None and self._grabber.ended:
            raise Temporary(f"{self.describe()} stopped giving frames")
        if grabbed is None:
            raise Temporary(f"{self.describe()} gave no frame for {self._wishes.read_timeout_seconds:g} s")
        return self._captured(grabbed)

    def _captured(self, grabbed: Grabbed) -> Captured:
        image = to_image(grabbed.pixels, self.describe())
        size = (image.shape[1], image.shape[0])
        wanted = (self._wishes.width or size[0], self._wishes.height or size[1])
        if size != wanted:
            raise Permanent(f"{self.describe()} gives {_by(size)} pixels, the settings want {_by(wanted)}")
        if self._size is not None and size != self._size:
            raise Temporary(f"{self.describe()} changed its frames from {_by(self._size)} to {_by(size)} pixels")
        if self._size is None and self._earlier_size not in (None, size):
            log.warning("%s gives %s pixels now, before it was %s", self.describe(), _by(size), _by(self._earlier_size))
        self._size = size
        return Captured(image, grabbed.captured_at, grabbed.captured_monotonic)

    def _close(self) -> None:
        grabber, self._grabber = self._grabber, None
        if grabber is not None and not grabber.stop(RELEASE_SECONDS):
            self._abandoned.append(grabber)
            log.debug("%s hangs; its handle is abandoned", self.describe())


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def build(settings: CameraSourceSettings, *, quarantine_directory: Path) -> CameraSource:
    """The camera that the settings name; it puts nothing into quarantine."""
    address = settings.url if settings.url is not None else settings.device
    assert address is not None, "the settings have exactly one of the two"
    return CameraSource(
        address,
        width=settings.width,
        height=settings.height,
        frames_per_second=settings.frames_per_second,
        open_timeout_seconds=settings.open_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
    )
