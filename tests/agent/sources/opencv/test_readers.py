"""Every way of reading an RTSP camera (OpenCV, PyAV, GStreamer) against a real server that changes, stalls and dies."""

from __future__ import annotations

import ctypes.util
import logging
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from agent.core.errors import Permanent, Temporary
from agent.sources import FrameSource, build_source
from agent.sources.factory import parse_source
from agent.sources.opencv import CameraSource
from tests.support.resources import await_no_more_than, held
from tests.support.rtsp_camera import RtspCamera, missing

READERS = {"opencv": {}, "pyav": {"capture_time": "sender"}, "gstreamer": {"decoder": "gstreamer"}}

Build = Callable[..., FrameSource]


@pytest.fixture(params=READERS)
def reader(request: pytest.FixtureRequest) -> str:
    if request.param == "pyav" and find_spec("av") is None:
        pytest.skip("needs the extra rtsp")
    if request.param == "gstreamer" and ctypes.util.find_library("gstapp-1.0") is None:
        pytest.skip("GStreamer is not installed")
    return str(request.param)


@pytest.fixture
def build(reader: str, tmp_path: Path) -> Build:
    def make(url: str, **settings: object) -> FrameSource:
        values = {"kind": "camera", "url": url, "open_timeout_seconds": 20.0, **READERS[reader], **settings}
        return build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")

    return make


def needs(*codecs: str) -> None:
    for codec in codecs:
        if missing(codec) is not None:
            pytest.skip(missing(codec) or "")


def read_until_it_fails(source: FrameSource, most: int = 2000) -> None:
    for _ in range(most):
        source.read()


def check_image(image: NDArray[np.uint8]) -> None:
    """A white ball on black; what a decoder makes of another codec is gray or green."""
    assert image.shape == (240, 320, 3)
    middle = np.median(image, axis=(0, 1))
    assert middle.max() <= 20, middle
    assert image.max() > 200


def check_images_until_it_fails(source: FrameSource) -> None:
    while True:
        check_image(source.read().image)


@pytest.mark.parametrize("codec", ["jpeg", "h264", "h265"])
def test_stream_is_read_in_each_codec(build: Build, codec: str) -> None:
    needs(codec)
    with RtspCamera(codec) as camera, build(camera.url(), read_timeout_seconds=10.0) as source:
        frames = [source.read() for _ in range(10)]
    for frame in frames:
        check_image(frame.image)
    times = [frame.captured_monotonic for frame in frames]
    assert times == sorted(times)
    assert len({frame.image.tobytes() for frame in frames}) > 5, "the ball moves"


def test_rows_that_are_padded_are_read(build: Build) -> None:
    """966 bytes of BGR, which GStreamer stores in 968."""
    needs("h265")
    with RtspCamera("h265", (322, 240)) as camera, build(camera.url(), read_timeout_seconds=10.0) as source:
        image = source.read().image
    assert image.shape == (240, 322, 3)
    assert image.max() > 200
    columns = np.flatnonzero((image[:, :, 0] > 128).any(axis=0))
    # Rows in a wrong place would smear the ball, which is 40 pixels wide, over the image.
    assert np.ptp(columns) < 60


@pytest.mark.parametrize("codec", ["jpeg", "h265"])
def test_camera_that_changes_its_size_is_temporary_and_returns(build: Build, reader: str, codec: str) -> None:
    if reader == "opencv" and codec != "jpeg":
        pytest.skip("OpenCV scales to the first size")
    needs(codec)
    with RtspCamera(codec) as camera, build(camera.url(), read_timeout_seconds=10.0) as source:
        source.read()
        camera.shrink()
        with pytest.raises(Temporary, match=r"changed its frames from 320×240 to 160×120 pixels|stopped giving frames"):
            read_until_it_fails(source)
        source.close()
        source.open()
        source.read()


def test_camera_that_stalls_or_dies_is_temporary_and_returns(build: Build) -> None:
    needs("jpeg")
    with RtspCamera("jpeg") as camera:
        source = build(camera.url(), read_timeout_seconds=2.0)
        with source:
            source.read()
            camera.stall()
            begin = time.monotonic()
            with pytest.raises(Temporary, match=r"gave no frame for 2 s|stopped giving frames"):
                read_until_it_fails(source)
            assert time.monotonic() - begin < 10.0
            camera.resume()
        camera.kill()
        with pytest.raises(Temporary, match="connection refused"):
            source.open()
        camera.start()
        with source:
            source.read()


def test_codec_that_changes_in_mid_stream_gives_no_false_frame(build: Build) -> None:
    """The camera goes on with H.265, motion JPEG and H.264 in the same session, which it had announced as another."""
    codecs = ("h264", "h265", "jpeg")
    needs(*codecs)
    with RtspCamera(",".join(codecs)) as camera:
        source = build(camera.url(), read_timeout_seconds=3.0)
        for _ in codecs:
            with source:
                for _ in range(5):
                    check_image(source.read().image)
                camera.change_codec()
                with pytest.raises(Temporary, match=r"gave no frame for 3 s|stopped giving frames"):
                    check_images_until_it_fails(source)
        assert isinstance(source, CameraSource)
        assert source.damaged == 0


def test_fifty_cuts_leave_no_thread_and_no_descriptor(build: Build) -> None:
    """The camera is switched off and on again: every time it returns."""
    needs("jpeg")
    camera = RtspCamera("jpeg", (64, 48))
    camera.start()
    source = build(camera.url())
    counts = []
    try:
        for _ in range(50):
            source.open()
            source.read()
            camera.kill()
            with pytest.raises(Temporary):
                read_until_it_fails(source)
            source.close()
            counts.append(held())
            camera.start()
    finally:
        source.close()
        camera.kill()
    await_no_more_than([max(each) for each in zip(*counts[:5], strict=True)])


def test_password_is_in_no_log_and_no_error(
    build: Build, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    needs("jpeg")
    with RtspCamera("jpeg", credentials=("admin", "secret1")) as camera:
        with build(camera.url(credentials="admin:secret1@")) as source:
            source.read()
        with pytest.raises(Temporary, match="rejects the user or password") as caught:
            build(camera.url(credentials="admin:secret2@")).open()
        assert "secret" not in str(caught.value)
        with pytest.raises(Temporary) as caught:
            build(camera.url("none", "admin:secret1@")).open()
    assert "secret" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("settings", "given"),
    [({"device": 0}, "a device"), ({"url": "rtsp://camera/line", "capture_time": "sender"}, 'capture_time = "sender"')],
)
def test_gstreamer_reads_rtsp_by_arrival_only(settings: dict[str, object], given: str) -> None:
    with pytest.raises(ValidationError, match=f'got decoder = "gstreamer" with {given}, wanted the url'):
        parse_source({"kind": "camera", "decoder": "gstreamer", **settings})


def test_gstreamer_with_http_is_permanent_and_hides_the_password(tmp_path: Path) -> None:
    values = {"kind": "camera", "decoder": "gstreamer", "url": "http://admin:secret1@camera/line"}
    source = build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")
    with pytest.raises(Permanent, match='decoder = "gstreamer" is for rtsp:// and rtsps://') as error:
        source.open()
    assert "secret1" not in str(error.value)
