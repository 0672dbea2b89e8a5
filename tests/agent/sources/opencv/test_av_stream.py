"""RTSP by PyAV against a real server: frames have the time of the camera."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import utc_now
from agent.core.errors import Permanent
from agent.sources import FrameSource, build_source
from agent.sources.factory import parse_source
from agent.sources.opencv import CameraSource
from tests.support.rtsp_camera import RtspCamera, missing

pytest.importorskip("av", reason="needs the extra rtsp")


def source_of(url: str, tmp_path: Path, **settings: object) -> FrameSource:
    values = {"kind": "camera", "url": url, "capture_time": "sender", **settings}
    return build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")


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


def test_sender_needs_rtsp(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="is for rtsp:// and rtsps://"):
        source_of("http://127.0.0.1/x", tmp_path).open()
    with pytest.raises(ValueError, match="wanted the url of an RTSP camera"):
        parse_source({"kind": "camera", "device": 0, "capture_time": "sender"})
