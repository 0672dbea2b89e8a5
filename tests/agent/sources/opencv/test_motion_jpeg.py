"""Motion JPEG: images that are cut off are left out and counted, in streams and in files."""

from __future__ import annotations

import contextlib
import http.server
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.core.errors import Temporary
from agent.core.records import Image
from agent.sources.damage_count import DamageCount
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.camera import CameraSource
from agent.sources.opencv.motion_jpeg import DamagedFrame, is_complete
from agent.sources.opencv.v4l2 import V4l2Device
from agent.sources.opencv.video import VideoSource
from agent.sources.source import EndOfStream, FrameSource
from tests.support.clocks import FakeClock


def jpeg(level: int = 90) -> bytes:
    image = level + np.random.default_rng(0).integers(0, 20, (96, 128, 3), np.uint8)
    return cv2.imencode(".jpg", image)[1].tobytes()


def read_all(source: FrameSource) -> list[Image]:
    """The images of a source up to its end."""
    images = []
    with contextlib.suppress(EndOfStream):
        while True:
            images.append(source.read().image)
    return images


@contextmanager
def stream(part: Callable[[int], bytes]) -> Iterator[str]:
    """A motion JPEG camera on loopback; `part(n)` is its n-th image."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
            self.end_headers()
            for number in range(500):
                data = part(number)
                head = b"--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
                try:
                    self.wfile.write(head + data + b"\r\n")
                except OSError:
                    return
                time.sleep(0.02)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://user:secret1@127.0.0.1:{server.server_port}/video"
        server.shutdown()


@pytest.mark.parametrize("share", [0.05, 0.35, 0.5, 0.7, 0.95, 0.999])
def test_stream_leaves_out_images_that_are_cut_off(share: float, caplog: pytest.LogCaptureFixture) -> None:
    whole = jpeg()

    def part(number: int) -> bytes:
        return whole[: int(len(whole) * share)] if number % 3 == 2 else whole

    expected = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    with stream(part) as url, CameraSource(url) as source:
        frames = [source.read().image for _ in range(20)]
    assert all((frame == expected).all() for frame in frames)
    assert source.damaged >= 5
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "a frame is left out: the JPEG image" in warnings[0]
    assert "secret1" not in caplog.text


class DamagedOnly:
    """The address and the handle of a camera whose images all arrive damaged."""

    def check(self) -> None:
        """It may be opened."""

    def connect(self, settings: CaptureSettings) -> DamagedOnly:
        return self

    def diagnose(self) -> str:
        return "never asked"

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def read(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.01)
        raise DamagedFrame("the JPEG image is cut off")

    def release(self) -> None:
        """Nothing to release."""

    def __str__(self) -> str:
        return "line"


def test_stream_of_damaged_images_only_is_lost_and_says_why() -> None:
    with (
        CameraSource(DamagedOnly(), read_timeout_seconds=1.0) as source,
        pytest.raises(Temporary, match=r"camera line gave no intact frame, and \d+ damaged ones, for 1 s"),
    ):
        source.read()
    assert source.damaged > 0


def test_video_leaves_out_images_that_are_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "line.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (128, 96))
    for index in range(10):
        writer.write(20 * index + np.random.default_rng(0).integers(0, 20, (96, 128, 3), np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    ends = [place for place in range(len(data) - 1) if data[place : place + 2] == b"\xff\xd9"]
    assert len(ends) >= 10
    data[ends[4] : ends[4] + 2] = b"\0\0"
    path.write_bytes(data)
    with VideoSource(path) as source:
        levels = [round(image.mean() / 20 - 0.5) for image in read_all(source)]
    assert levels == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert source.damaged == 1


def test_end_of_a_thumbnail_is_not_the_end_of_the_image() -> None:
    whole, small = jpeg(), jpeg(10)[:4000]
    header = b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small
    with_thumbnail = whole[:2] + header + whole[2:]
    assert is_complete(with_thumbnail)
    assert not is_complete(with_thumbnail[:-2])
    assert is_complete(with_thumbnail + bytes(1000)), "some cameras pad their images"


def test_damage_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    damage = DamageCount(lambda: "camera line", clock.monotonic)
    for _ in range(700):
        damage.add("cut off")
        clock.sleep(0.125)
    assert damage.count == 700
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "camera line: a frame is left out: cut off; further ones are summed up",
        "camera line: 480 frames are left out: cut off; further ones are summed up",
    ]


class UsbCamera:
    """Stands for `cv2.VideoCapture` of a V4L2 camera, the hardware that no test has: as OpenCV 4.9 to 5.0, it gives a
    JPEG image's bytes as one row where CAP_PROP_CONVERT_RGB is 0, and else what its decoder makes of them."""

    def __init__(self, images: list[bytes], code: str = "MJPG", *, converts_only: bool = False) -> None:
        self._images = images
        self._code = int.from_bytes(code.encode(), "little")
        self._convert = True
        self._converts_only = converts_only

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, property_id: int, value: float) -> bool:
        if property_id == cv2.CAP_PROP_CONVERT_RGB and not self._converts_only:
            self._convert = bool(value)
            return True
        return property_id != cv2.CAP_PROP_CONVERT_RGB

    def get(self, property_id: int) -> float:
        return float(self._code if property_id == cv2.CAP_PROP_FOURCC else 0.0)

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        if not self._images:
            return False, None
        data = np.frombuffer(self._images.pop(0), np.uint8)
        return True, cv2.imdecode(data, cv2.IMREAD_COLOR) if self._convert else data[None, :]  # type: ignore[return-value]

    def release(self) -> None:
        self._images.clear()


def frames_of_usb_camera(camera: UsbCamera, monkeypatch: pytest.MonkeyPatch) -> list[Image | str]:
    """All frames that the source's handle gives, and the reasons of those that it leaves out."""
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: camera)
    handle = V4l2Device("/dev/video0").connect(CaptureSettings(128, 96, 30.0, 5.0, 2.0))
    found: list[Image | str] = []
    while True:
        try:
            received, image = handle.read()
        except DamagedFrame as error:
            found.append(str(error))
            continue
        if not received:
            return found
        found.append(image)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.95, 0.999])
def test_usb_camera_leaves_out_images_that_are_cut_off(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full USB bus cuts images off; OpenCV's decoder fills what is missing with gray."""
    whole = jpeg()
    cut = whole[: int(len(whole) * share)]
    camera = UsbCamera([whole, cut, whole + bytes(700), b"", cut])
    found = frames_of_usb_camera(camera, monkeypatch)
    expected = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    assert [isinstance(each, str) for each in found] == [False, True, False, True, True]
    assert all((each == expected).all() for each in found if not isinstance(each, str))
    assert found[1] == "the JPEG image is cut off"


def test_usb_camera_with_raw_pixels_is_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = frames_of_usb_camera(UsbCamera([jpeg()], code="YUYV"), monkeypatch)
    assert [each.shape for each in found if not isinstance(each, str)] == [(96, 128, 3)]


def test_usb_camera_whose_backend_gives_no_jpeg_is_read_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = frames_of_usb_camera(UsbCamera([jpeg()], converts_only=True), monkeypatch)
    assert [each.shape for each in found if not isinstance(each, str)] == [(96, 128, 3)]
