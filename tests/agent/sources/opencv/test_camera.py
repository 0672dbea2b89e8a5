"""Live cameras: a real RTSP server that is stopped, killed, started again; handles that hang; devices that are none."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agent.core.errors import Permanent, Temporary
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.camera import MAX_ABANDONED, CameraSource
from tests.support.rtsp_camera import RtspCamera, missing

needs_rtsp = pytest.mark.skipif(missing() is not None, reason=missing() or "")
needs_h264 = pytest.mark.skipif(missing("h264") is not None, reason=missing("h264") or "")


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    """A camera that is switched off; what a test leaves running is ended."""
    camera = RtspCamera()
    yield camera
    camera.kill()


def source(camera: RtspCamera, **options: float) -> CameraSource:
    return CameraSource(camera.url(credentials="admin:geheim@"), **options)  # type: ignore[arg-type]


def read_until_trouble(source: CameraSource) -> str:
    """Read on until the camera fails; 500 frames are 20 s of this camera."""
    try:
        for _ in range(500):
            source.read()
    except Temporary as trouble:
        return str(trouble)
    pytest.fail("the camera goes on")


@needs_rtsp
def test_stream_gives_frames_with_their_times(camera: RtspCamera) -> None:
    camera.start()
    with source(camera) as live:
        frames = [live.read() for _ in range(10)]
    times = [frame.captured_monotonic for frame in frames]
    assert times == sorted(set(times))
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert len({frame.image.tobytes() for frame in frames}) > 5


@needs_h264
def test_stream_of_h264_is_read() -> None:
    with RtspCamera("h264") as camera, CameraSource(camera.url()) as live:
        assert live.read().image.shape == (240, 320, 3)


@needs_rtsp
def test_camera_that_is_switched_off_is_temporary_and_comes_back(camera: RtspCamera) -> None:
    live = source(camera)
    with pytest.raises(Temporary, match=r"does not open: 127\.0\.0\.1 port \d+: connection refused"):
        live.open()
    camera.start()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_stalls_is_named_in_time_and_comes_back(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera, open_timeout_seconds=5.0, read_timeout_seconds=1.0)
    live.open()
    live.read()
    camera.stall()
    assert read_until_trouble(live).endswith(("gave no frame for 1 s", "stopped giving frames"))
    live.close()
    camera.resume()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_accepts_and_then_says_nothing_does_not_open(camera: RtspCamera) -> None:
    camera.start()
    camera.stall()
    with pytest.raises(Temporary, match=r"does not open.*: no answer from 127\.0\.0\.1"):
        source(camera, open_timeout_seconds=0.5).open()


@needs_rtsp
def test_camera_that_dies_in_mid_stream_is_temporary_and_comes_back(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera)
    live.open()
    live.read()
    camera.kill()
    assert read_until_trouble(live).endswith(("stopped giving frames", "gave no frame for 2 s"))
    live.close()
    camera.start()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_changes_its_size_says_both_sizes_and_goes_on_with_what_comes(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera)
    live.open()
    live.read()
    camera.shrink()
    trouble = read_until_trouble(live)
    assert trouble.endswith("changed its frames from 320×240 to 160×120 pixels")
    live.close()
    with live:
        live.read()


@needs_h264
def test_camera_that_comes_back_with_another_size_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with RtspCamera("h264") as camera, CameraSource(camera.url()) as other:
        other.read()
        live = CameraSource(camera.url())
        with live:
            live.read()
        camera.shrink()
        # The stream is one for all its readers; its size changes with the next frame, seen by who opens it anew.
        for _ in range(25):
            other.read()
        with live:
            assert live.read().image.shape == (120, 160, 3)
    assert caplog.messages == [f"camera {camera.url()} gives 160×120 pixels now, before it was 320×240"]


@needs_rtsp
def test_camera_of_another_size_than_the_settings_want_is_permanent(camera: RtspCamera) -> None:
    camera.start()
    live = CameraSource(camera.url(), width=640, height=480)
    with live, pytest.raises(Permanent, match=r"gives 320×240 pixels, the settings want 640×480"):
        live.read()


@needs_rtsp
def test_pace_leaves_frames_out(camera: RtspCamera) -> None:
    camera.start()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(seconds)

    with CameraSource(camera.url(), frames_per_second=5.0, sleep=sleep) as live:
        for _ in range(5):
            live.read()
    # The camera gives 25 a second. Four intervals of 0.2 s, less what the first frame came late: 0.5 s at most.
    assert sum(waits) > 0.25


@needs_rtsp
def test_wrong_password_and_stream_are_named_and_the_password_is_not(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    troubles = []
    with RtspCamera(credentials=("anna", "wort")) as camera, caplog.at_level(logging.DEBUG):
        for url in (camera.url(), camera.url(credentials="anna:geheim@")):
            with pytest.raises(Temporary) as trouble:
                CameraSource(url).open()
            troubles.append(str(trouble.value))
        with CameraSource(camera.url(credentials="anna:wort@")) as live:
            live.read()
    assert troubles[0].endswith("does not open: it wants a user and a password")
    assert troubles[1].endswith("does not open: it refuses the user or password")
    told = "".join(troubles) + caplog.text + "".join(capfd.readouterr())
    assert "geheim" not in told
    assert "wort@" not in told


class HangingHandle:
    """A driver that never comes back from a read until it is let go, as broken USB cameras do."""

    def __init__(self, frames: int, let_go: threading.Event) -> None:
        self.frames = frames
        self.let_go = let_go
        self.hangs = threading.Event()
        self.released_by: str | None = None

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        if self.frames == 0:
            self.hangs.set()
            self.let_go.wait(30.0)
            return False, np.zeros(0)
        self.frames -= 1
        return True, np.full((24, 32, 3), self.frames, np.uint8)

    def release(self) -> None:
        self.released_by = threading.current_thread().name


class HangingAddress:
    """Gives such handles, and remembers them."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.let_go = threading.Event()
        self.handles: list[HangingHandle] = []

    def __str__(self) -> str:
        return "/dev/broken"

    def check(self) -> None:
        """Always worth a try."""

    def connect(self, wishes: CaptureSettings) -> HangingHandle:
        self.handles.append(HangingHandle(self.frames, self.let_go))
        return self.handles[-1]

    def refusal(self) -> str:
        return "it is broken"


def test_hung_handle_is_abandoned_and_a_new_one_opened() -> None:
    address = HangingAddress(frames=1)
    live = CameraSource(address, read_timeout_seconds=0.1)
    for opened in (1, 2):
        live.open()
        live.read()
        with pytest.raises(Temporary, match=r"camera /dev/broken gave no frame for 0\.1 s"):
            live.read()
        live.close()
        assert len(address.handles) == opened
    assert [handle.released_by for handle in address.handles] == [None, None]
    address.let_go.set()
    for grabber in list(live._abandoned):
        grabber.join(10.0)
    # Only the thread that hung may touch the handle: releasing it from elsewhere would hang or crash.
    assert [handle.released_by for handle in address.handles] == ["camera-grabber"] * 2


def test_hung_handles_do_not_pile_up() -> None:
    address = HangingAddress(frames=0)
    live = CameraSource(address, read_timeout_seconds=0.01)
    messages = []
    for _ in range(MAX_ABANDONED + 4):
        with pytest.raises(Temporary) as trouble, live:
            live.read()
        messages.append(str(trouble.value))
    assert len(address.handles) == MAX_ABANDONED + 1
    assert messages[-1] == f"camera /dev/broken hangs: {MAX_ABANDONED + 1} attempts to read it have not come back"
    address.let_go.set()
    for grabber in list(live._abandoned):
        grabber.join(10.0)
    with pytest.raises(Temporary, match=r"stopped giving frames|gave no frame"), live:
        live.read()


def test_newest_frame_wins_where_the_reader_is_slow() -> None:
    """Frames count down; whoever reads when the camera is at 0 gets that one and none of those before."""
    address = HangingAddress(frames=50)
    with CameraSource(address, read_timeout_seconds=0.2) as live:
        assert address.handles[0].hangs.wait(10.0)
        assert live.read().image.max() == 0
        with pytest.raises(Temporary):
            live.read()
    address.let_go.set()


def test_device_that_is_not_there_is_temporary(capfd: pytest.CaptureFixture[str]) -> None:
    """It can be plugged in."""
    for device, name in ((63, "/dev/video63"), ("63", "/dev/video63"), ("/dev/v4l/by-id/gone", "/dev/v4l/by-id/gone")):
        with pytest.raises(Temporary) as refused:
            CameraSource(device).open()
        assert str(refused.value) == f"camera {name} does not exist: is it plugged in?"
    assert capfd.readouterr().err == ""


def test_file_as_a_device_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("no camera")
    with pytest.raises(Permanent, match="is not a camera device, wanted one such as /dev/video0"):
        CameraSource(str(tmp_path / "video0")).open()


def test_device_that_is_no_camera_does_not_open(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Temporary, match="/dev/null does not open: it gives no video, or another program uses it"):
        CameraSource("/dev/null").open()
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="no V4L2 camera here (modprobe v4l2loopback or vivid)")
def test_real_device_gives_frames() -> None:
    with CameraSource("/dev/video0") as live:
        assert live.read().image.dtype == np.uint8
