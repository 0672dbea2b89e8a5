"""Live cameras through OpenCV: V4L2 and USB cameras by device, network cameras by URL."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.core.clock import Pace, utc_now
from agent.core.errors import Permanent, Temporary
from agent.sources.damage_count import DamageCount
from agent.sources.opencv.address import Address, CaptureSettings
from agent.sources.opencv.av_stream import AvStream
from agent.sources.opencv.grabber import Grabbed, Grabber
from agent.sources.opencv.gst_stream import GstStream
from agent.sources.opencv.images import mute_opencv, to_image
from agent.sources.opencv.rtsp import RtspStream
from agent.sources.opencv.v4l2 import V4l2Device
from agent.sources.settings import CameraSourceSettings
from agent.sources.source import Captured, FrameSource

log = logging.getLogger(__name__)

# A healthy camera is released within two frames. A V4L2 device must be, before it can be opened again.
RELEASE_SECONDS = 0.5

# Every abandoned handle keeps a thread and its buffers until OpenCV's own timeouts end it (V4L2 10 s, FFmpeg 3 x ours).
# More than this at once means that they do not end; they must not use up the service's memory.
MAX_ABANDONED = 4


def find_address(address: str | int) -> Address:
    """The address of a camera: a text with a scheme is a URL, anything else a device."""
    return RtspStream(address) if isinstance(address, str) and "://" in address else V4l2Device(address)


class CameraSource(FrameSource):
    """A live camera behind OpenCV; `read` returns the newest frame.

    address: URL (rtsp://…), device (/dev/video0) or number of a device; or an `Address` of another kind.
    width, height: pixels; requested where the camera can be asked, and required of its frames. None accepts any.
    frames_per_second: requested where the camera can be asked; further frames are dropped. None keeps all.
    open_timeout_seconds: until the camera is open.
    read_timeout_seconds: from one frame to the next.
    release_timeout_seconds: for closing; a handle that takes longer is abandoned.
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
        release_timeout_seconds: float = RELEASE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__()
        self._address = find_address(address) if isinstance(address, (str, int)) else address
        self._settings = CaptureSettings(width, height, frames_per_second, open_timeout_seconds, read_timeout_seconds)
        self._release_timeout_seconds = release_timeout_seconds
        self._pace = Pace(frames_per_second, clock, sleep)
        self._clock, self._now = clock, now
        self._damage = DamageCount(self.describe, clock)
        self._grabber: Grabber | None = None
        self._abandoned: list[Grabber] = []
        self._size: tuple[int, int] | None = None
        self._earlier_size: tuple[int, int] | None = None

    @property
    def damaged(self) -> int:
        """Frames that arrived damaged since the agent started."""
        return self._damage.count

    @property
    def times_by_sender(self) -> bool:
        """Whether the latest frame has the time of the camera's own clock."""
        return self._grabber is not None and self._grabber.times_by_sender

    def describe(self) -> str:
        """Name the source, without passwords."""
        return f"camera {self._address}"

    def _open(self) -> None:
        mute_opencv()
        self._address.check()
        self._abandoned = [grabber for grabber in self._abandoned if grabber.is_alive()]
        if len(self._abandoned) > MAX_ABANDONED:
            raise Temporary(f"{self.describe()} hangs: {len(self._abandoned)} calls to its driver have not returned")
        self._grabber = Grabber(
            functools.partial(self._address.connect, self._settings),
            on_damaged=self._damage.add,
            clock=self._clock,
            now=self._now,
        )
        self._grabber.start()
        opened = self._grabber.wait_open(self._settings.open_timeout_seconds)
        if not opened:
            self._close()
            within = f" within {self._settings.open_timeout_seconds:g} s" if opened is None else ""
            raise Temporary(f"{self.describe()} does not open{within}: {self._address.diagnose()}")
        self._size, self._earlier_size = None, self._size or self._earlier_size
        self._pace.restart()

    def _read(self) -> Captured:
        assert self._grabber is not None
        self._pace.wait()
        grabbed = self._grabber.take(self._settings.read_timeout_seconds)
        if grabbed is None and self._grabber.ended:
            raise Temporary(f"{self.describe()} stopped giving frames")
        if grabbed is None:
            damaged = self._grabber.damaged
            intact = f"intact frame, and {damaged} damaged ones," if damaged else "frame"
            raise Temporary(f"{self.describe()} gave no {intact} for {self._settings.read_timeout_seconds:g} s")
        return self._captured(grabbed)

    def _captured(self, grabbed: Grabbed) -> Captured:
        image = to_image(grabbed.pixels, self.describe())
        size = (image.shape[1], image.shape[0])
        wanted = (self._settings.width or size[0], self._settings.height or size[1])
        if size != wanted:
            raise Permanent(f"{self.describe()} gives {_by(size)} pixels, the settings want {_by(wanted)}")
        if self._size is not None and size != self._size:
            raise Temporary(f"{self.describe()} changed its frames from {_by(self._size)} to {_by(size)} pixels")
        if self._size is None and self._earlier_size not in (None, size):
            log.warning("%s now gives %s pixels, before %s", self.describe(), _by(size), _by(self._earlier_size))
        self._size = size
        return Captured(image, grabbed.captured_at, grabbed.captured_monotonic)

    def _close(self) -> None:
        grabber, self._grabber = self._grabber, None
        if grabber is not None and not grabber.stop(self._release_timeout_seconds):
            self._abandoned.append(grabber)
            log.debug("%s hangs; its handle is abandoned", self.describe())


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def from_settings(settings: CameraSourceSettings, *, quarantine_directory: Path) -> CameraSource:
    """The camera that the settings name. It puts nothing into quarantine."""
    address: str | int | Address | None = settings.url if settings.url is not None else settings.device
    assert address is not None, "the settings have exactly one of the two"
    if settings.capture_time == "sender":
        address = AvStream(str(settings.url))
    elif settings.decoder == "gstreamer":
        address = GstStream(str(settings.url))
    return CameraSource(
        address,
        width=settings.width,
        height=settings.height,
        frames_per_second=settings.frames_per_second,
        open_timeout_seconds=settings.open_timeout_seconds,
        read_timeout_seconds=settings.read_timeout_seconds,
    )
