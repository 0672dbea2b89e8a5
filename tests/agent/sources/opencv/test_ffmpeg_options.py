"""FFmpeg's options are those of the stream that is being opened, and frames of RTSP cameras are fresh."""

from __future__ import annotations

import os
import threading
import time

import pytest

from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.ffmpeg_options import DEFAULT, LOW_DELAY, OptionSwitch, ffmpeg_options
from agent.sources.opencv.images import mute_opencv
from agent.sources.opencv.rtsp import RtspStream
from tests.support.rtsp_camera import RtspCamera, missing

NAMES = tuple(LOW_DELAY)


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> OptionSwitch:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return OptionSwitch()


def environment() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in NAMES}


def test_options_are_in_force_while_a_stream_is_opened_and_no_longer(switch: OptionSwitch) -> None:
    with switch.use(LOW_DELAY), switch.use(LOW_DELAY):
        assert environment() == LOW_DELAY
    assert environment() == DEFAULT


def test_options_of_a_technician_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMES[0], "rtsp_transport;udp")
    with OptionSwitch().use(LOW_DELAY):
        assert os.environ[NAMES[0]] == "rtsp_transport;udp"


def test_streams_with_other_options_wait_and_are_not_kept_out(switch: OptionSwitch) -> None:
    """A file opens as soon as the RTSP stream before it is open, although another stream asks after it."""
    order: list[str] = []
    open_now = threading.Event()

    def stream(name: str, options: dict[str, str], until: threading.Event | None = None) -> threading.Thread:
        def run() -> None:
            with switch.use(options):
                order.append(name)
                assert environment() == options
                if until is not None:
                    assert until.wait(60)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def wait_for(waiting: int) -> None:
        end = time.monotonic() + 10.0
        while len(switch._waiting) < waiting and time.monotonic() < end:
            time.sleep(0.001)

    threads = [stream("first", LOW_DELAY, open_now)]
    while not order:
        time.sleep(0.001)
    threads.append(stream("file", DEFAULT))
    wait_for(1)
    threads.append(stream("second", LOW_DELAY))
    wait_for(2)
    assert order == ["first"]
    open_now.set()
    for thread in threads:
        thread.join(60)
    assert order == ["first", "file", "second"]


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
def test_frames_of_an_rtsp_camera_are_fresh_after_a_connect(codec: str) -> None:
    """At 25 frames/s ten frames take 0.36 s; buffered ones come at once.

    A busy machine may read the first frame late: then another connect shows it.
    """
    if missing(codec) is not None:
        pytest.skip(missing(codec) or "")
    mute_opencv()
    with RtspCamera(codec) as camera:
        assert any(seconds_for_ten_frames(camera) > 0.2 for _ in range(5))
    assert ffmpeg_options._openings == 0


def seconds_for_ten_frames(camera: RtspCamera) -> float:
    handle = RtspStream(camera.url()).connect(CaptureSettings(None, None, None, 20.0, 20.0))
    try:
        assert handle.read()[0]
        begin = time.monotonic()
        assert all(handle.read()[0] for _ in range(10))
        return time.monotonic() - begin
    finally:
        handle.release()
