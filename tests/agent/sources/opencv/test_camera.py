"""Live cameras: a real RTSP server that stalls, dies and returns; handles that hang; devices that are not cameras."""

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
    """A camera that is switched off; killed after the test."""
    camera = RtspCamera()
    yield camera
    camera.kill()


def source(camera: RtspCamera, **options: float) -> CameraSource:
    url = camera.url(credentials="admin:secret1@")
    return CameraSource(url, **{"open_timeout_seconds": 20.0, **options})  # type: ignore[arg-type]


def read_until_failure(source: CameraSource) -> str:
    """Read on until the camera fails; 500 frames are 20 s of this camera."""
    try:
        for _ in range(500):
            source.read()
    except Temporary as error:
        return str(error)
    pytest.fail("the camera did not fail")


@needs_rtsp
def test_stream_has_frames_and_their_times(camera: RtspCamera) -> None:
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
def test_camera_that_is_switched_off_is_temporary_and_returns(camera: RtspCamera) -> None:
    live = source(camera)
    with pytest.raises(Temporary, match=r"does not open: 127\.0\.0\.1 port \d+: connection refused"):
        live.open()
    camera.start()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_stalls_is_reported_in_time_and_returns(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera, read_timeout_seconds=2.0)
    live.open()
    live.read()
    camera.stall()
    assert read_until_failure(live).endswith(("gave no frame for 2 s", "stopped giving frames"))
    live.close()
    camera.resume()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_accepts_and_does_not_answer_does_not_open(camera: RtspCamera) -> None:
    camera.start()
    camera.stall()
    with pytest.raises(Temporary, match=r"does not open.*: no answer from 127\.0\.0\.1"):
        source(camera, open_timeout_seconds=0.5).open()


@needs_rtsp
def test_camera_that_dies_in_mid_stream_is_temporary_and_returns(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera)
    live.open()
    live.read()
    camera.kill()
    assert read_until_failure(live).endswith(("stopped giving frames", "gave no frame for 2 s"))
    live.close()
    camera.start()
    with live:
        live.read()


@needs_rtsp
def test_camera_that_changes_its_size_is_temporary_and_continues_with_the_new_size(camera: RtspCamera) -> None:
    camera.start()
    live = source(camera)
    live.open()
    live.read()
    camera.shrink()
    message = read_until_failure(live)
    assert message.endswith("changed its frames from 320×240 to 160×120 pixels")
    live.close()
    with live:
        live.read()


@needs_h264
def test_camera_that_returns_with_another_size_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with RtspCamera("h264") as camera, CameraSource(camera.url()) as other:
        other.read()
        live = CameraSource(camera.url())
        with live:
            live.read()
        camera.shrink()
        # All clients share one stream. Its size changes with the next frame; a client gets it when it opens the stream.
        for _ in range(25):
            other.read()
        with live:
            assert live.read().image.shape == (120, 160, 3)
    assert caplog.messages == [f"camera {camera.url()} now gives 160×120 pixels, before 320×240"]


@needs_rtsp
def test_camera_with_another_size_than_the_settings_is_permanent(camera: RtspCamera) -> None:
    camera.start()
    live = CameraSource(camera.url(), width=640, height=480)
    with live, pytest.raises(Permanent, match=r"gives 320×240 pixels, the settings want 640×480"):
        live.read()


@needs_rtsp
def test_wrong_password_is_reported_without_the_password(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    messages = []
    with RtspCamera(credentials=("anna", "secret2")) as camera, caplog.at_level(logging.DEBUG):
        for url in (camera.url(), camera.url(credentials="anna:secret1@")):
            with pytest.raises(Temporary) as error:
                CameraSource(url).open()
            messages.append(str(error.value))
        with CameraSource(camera.url(credentials="anna:secret2@")) as live:
            live.read()
    assert messages[0].endswith("does not open: it requires a user and a password")
    assert messages[1].endswith("does not open: it rejects the user or password")
    output = "".join(messages) + caplog.text + "".join(capfd.readouterr())
    assert "secret1" not in output
    assert "secret2@" not in output


class HangingHandle:
    """A driver whose read hangs until `released` is set, as with broken USB cameras."""

    def __init__(self, frames: int, released: threading.Event) -> None:
        self.frames = frames
        self.released = released
        self.hanging = threading.Event()
        self.released_by: str | None = None

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        if self.frames == 0:
            self.hanging.set()
            self.released.wait(30.0)
            return False, np.zeros(0)
        self.frames -= 1
        return True, np.full((24, 32, 3), self.frames, np.uint8)

    def release(self) -> None:
        self.released_by = threading.current_thread().name


class HangingAddress:
    """Opens such handles, and keeps them."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.released = threading.Event()
        self.handles: list[HangingHandle] = []

    def __str__(self) -> str:
        return "/dev/broken"

    def check(self) -> None:
        """Always allows an attempt."""

    def connect(self, settings: CaptureSettings) -> HangingHandle:
        self.handles.append(HangingHandle(self.frames, self.released))
        return self.handles[-1]

    def diagnose(self) -> str:
        return "it is broken"


def test_handle_that_hangs_is_abandoned_and_a_new_one_opened() -> None:
    address = HangingAddress(frames=1)
    live = CameraSource(address, read_timeout_seconds=1.0, release_timeout_seconds=0.01)
    for opened in (1, 2):
        live.open()
        live.read()
        with pytest.raises(Temporary, match=r"camera /dev/broken gave no frame for 1 s"):
            live.read()
        live.close()
        assert len(address.handles) == opened
    assert [handle.released_by for handle in address.handles] == [None, None]
    address.released.set()
    for grabber in list(live._abandoned):
        grabber.join(60)
    # Only the thread that hung may use the handle: releasing it from another thread would hang or crash.
    assert [handle.released_by for handle in address.handles] == ["camera-grabber"] * 2


def test_handles_that_hang_are_limited_in_number() -> None:
    address = HangingAddress(frames=0)
    live = CameraSource(address, read_timeout_seconds=0.01, release_timeout_seconds=0.01)
    messages = []
    for _ in range(MAX_ABANDONED + 4):
        with pytest.raises(Temporary) as error, live:
            live.read()
        messages.append(str(error.value))
    assert len(address.handles) == MAX_ABANDONED + 1
    assert messages[-1] == f"camera /dev/broken hangs: {MAX_ABANDONED + 1} calls to its driver have not returned"
    address.released.set()
    for grabber in list(live._abandoned):
        grabber.join(60)
    with pytest.raises(Temporary, match=r"stopped giving frames|gave no frame"), live:
        live.read()


def test_slow_reader_gets_the_newest_frame() -> None:
    """The pixels count down; a reader at the time of frame 0 gets that one and none of those before."""
    address = HangingAddress(frames=50)
    with CameraSource(address, read_timeout_seconds=0.2) as live:
        assert address.handles[0].hanging.wait(60)
        assert live.read().image.max() == 0
        with pytest.raises(Temporary):
            live.read()
    address.released.set()


class FastHandle:
    """A camera far faster than any pace: about 1,000 frames/s."""

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.001)
        return True, np.zeros((24, 32, 3), np.uint8)

    def release(self) -> None:
        """Nothing to release."""


class FastAddress(HangingAddress):
    def connect(self, settings: CaptureSettings) -> FastHandle:  # type: ignore[override]
        return FastHandle()


def test_frames_beyond_the_pace_are_dropped() -> None:
    """The clock advances only in `sleep`."""
    waits: list[float] = []
    with CameraSource(
        FastAddress(0), frames_per_second=5.0, clock=lambda: 10.0 + sum(waits), sleep=waits.append
    ) as live:
        for _ in range(5):
            live.read()
    assert waits == pytest.approx([0.2] * 4)


def test_device_that_does_not_exist_is_temporary(capfd: pytest.CaptureFixture[str]) -> None:
    """It can be plugged in."""
    for device, name in ((63, "/dev/video63"), ("63", "/dev/video63"), ("/dev/v4l/by-id/gone", "/dev/v4l/by-id/gone")):
        with pytest.raises(Temporary) as error:
            CameraSource(device).open()
        assert str(error.value) == f"camera {name} does not exist: is it plugged in?"
    assert capfd.readouterr().err == ""


def test_file_instead_of_a_device_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "video0").write_text("not a camera")
    with pytest.raises(Permanent, match="is not a camera device, wanted one such as /dev/video0"):
        CameraSource(str(tmp_path / "video0")).open()


def test_device_that_is_not_a_camera_does_not_open(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Temporary, match="/dev/null does not open: it gives no video, or another program uses it"):
        CameraSource("/dev/null").open()
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/video0").exists(), reason="no V4L2 camera (modprobe v4l2loopback or vivid)")
def test_real_device_gives_frames() -> None:
    with CameraSource("/dev/video0") as live:
        assert live.read().image.dtype == np.uint8
