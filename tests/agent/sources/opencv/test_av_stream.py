"""RTSP by PyAV against a real server: frames have the time of the camera, and faults are reported as by OpenCV."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agent.core.clock import utc_now
from agent.core.errors import Permanent, Temporary
from agent.sources import FrameSource, build_source
from agent.sources.factory import parse_source
from agent.sources.opencv import CameraSource
from tests.support.rtsp_camera import RtspCamera, missing

pytest.importorskip("av", reason="needs the extra rtsp")


def source_of(url: str, tmp_path: Path, **settings: object) -> FrameSource:
    values = {"kind": "camera", "url": url, "capture_time": "sender", **settings}
    return build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")


def read_until_it_fails(source: FrameSource, most: int = 2000) -> None:
    for _ in range(most):
        source.read()


@pytest.fixture(params=["jpeg", "h264", "h265"])
def camera(request: pytest.FixtureRequest) -> Iterator[RtspCamera]:
    reason = missing(request.param)
    if reason is not None:
        pytest.skip(reason)
    with RtspCamera(request.param) as started:
        yield started


def test_frames_have_the_time_of_the_camera(camera: RtspCamera, tmp_path: Path) -> None:
    """From its first report on, which comes after some seconds; the camera's clock is ours."""
    with source_of(camera.url(), tmp_path, read_timeout_seconds=10.0) as source:
        assert isinstance(source, CameraSource)
        end, latest = time.monotonic() + 30.0, -math.inf
        while True:
            captured, received = source.read(), time.monotonic()
            assert captured.image.shape == (240, 320, 3)
            assert captured.captured_monotonic >= latest
            latest = captured.captured_monotonic
            if source.times_by_sender:
                break
            assert time.monotonic() < end, "no report of the sender"
        assert -0.1 < (utc_now() - captured.captured_at).total_seconds() < 2.0
        assert received - captured.captured_monotonic > 0.0


@pytest.mark.parametrize("camera", ["jpeg", "h265"], indirect=True)
def test_camera_that_changes_its_size_is_temporary_and_returns(camera: RtspCamera, tmp_path: Path) -> None:
    with source_of(camera.url(), tmp_path, read_timeout_seconds=10.0) as source:
        source.read()
        camera.shrink()
        with pytest.raises(Temporary, match=r"changed its frames from 320×240 to 160×120 pixels|stopped giving frames"):
            read_until_it_fails(source)
        source.close()
        source.open()
        source.read()


@pytest.mark.parametrize("camera", ["jpeg"], indirect=True)
def test_camera_that_stalls_or_dies_is_temporary_and_returns(camera: RtspCamera, tmp_path: Path) -> None:
    source = source_of(camera.url(), tmp_path, read_timeout_seconds=0.5)
    with source:
        source.read()
        camera.stall()
        begin = time.monotonic()
        with pytest.raises(Temporary, match=r"gave no frame for 0\.5 s|stopped giving frames"):
            read_until_it_fails(source)
        assert time.monotonic() - begin < 5.0
        camera.resume()
    camera.kill()
    with pytest.raises(Temporary, match="connection refused"):
        source.open()
    camera.start()
    with source:
        source.read()


@pytest.mark.parametrize("clock", ["arrival", "sender"])
def test_codec_that_changes_in_mid_stream_gives_no_false_frame(clock: str, tmp_path: Path) -> None:
    """The camera goes on with H.265, motion JPEG and H.264 in the same session, which it had announced as another."""
    codecs = ("h264", "h265", "jpeg")
    for codec in codecs:
        if missing(codec) is not None:
            pytest.skip(missing(codec) or "")
    with RtspCamera(",".join(codecs)) as camera:
        source = source_of(camera.url(), tmp_path, capture_time=clock, read_timeout_seconds=3.0)
        for _ in codecs:
            with source:
                for _ in range(5):
                    _check_image(source.read().image)
                camera.change_codec()
                with pytest.raises(Temporary, match=r"gave no frame for 3 s|stopped giving frames"):
                    _check_images_until_it_fails(source)
        assert isinstance(source, CameraSource)
        assert source.damaged == 0


def _check_images_until_it_fails(source: FrameSource) -> None:
    while True:
        _check_image(source.read().image)


def _check_image(image: NDArray[np.uint8]) -> None:
    """A white ball on black; what a decoder makes of another codec is gray or green."""
    assert image.shape == (240, 320, 3)
    middle = np.median(image, axis=(0, 1))
    assert middle.max() <= 20, middle
    assert image.max() > 200


@pytest.mark.parametrize("clock", ["arrival", "sender"])
def test_fifty_cuts_leave_no_thread_and_no_descriptor(clock: str, tmp_path: Path) -> None:
    """The camera is switched off and on again: every time it returns."""
    if missing("jpeg") is not None:
        pytest.skip(missing("jpeg") or "")
    camera = RtspCamera("jpeg", (64, 48))
    camera.start()
    source = source_of(camera.url(), tmp_path, capture_time=clock)
    counts = []
    try:
        for _ in range(50):
            source.open()
            source.read()
            camera.kill()
            with pytest.raises(Temporary):
                read_until_it_fails(source)
            source.close()
            counts.append((len(os.listdir("/proc/self/fd")), threading.active_count()))  # noqa: PTH208 - a count
            camera.start()
    finally:
        source.close()
        camera.kill()
    assert max(counts[25:]) <= max(counts[:5])


def test_password_is_in_no_log_and_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    if missing("jpeg") is not None:
        pytest.skip(missing("jpeg") or "")
    with RtspCamera("jpeg", credentials=("admin", "secret1")) as camera:
        for credentials, works in (("admin:secret1@", True), ("admin:secret2@", False)):
            source = source_of(camera.url(credentials=credentials), tmp_path)
            if works:
                with source:
                    source.read()
                continue
            with pytest.raises(Temporary, match="rejects the user or password") as caught:
                source.open()
            assert "secret" not in str(caught.value)
        with pytest.raises(Temporary) as caught:
            source_of(camera.url("none", "admin:secret1@"), tmp_path).open()
    assert "secret" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


def test_sender_needs_rtsp(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="is for rtsp:// and rtsps://"):
        source_of("http://127.0.0.1/x", tmp_path).open()
    with pytest.raises(ValueError, match="wanted the url of an RTSP camera"):
        parse_source({"kind": "camera", "device": 0, "capture_time": "sender"})
