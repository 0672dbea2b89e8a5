"""Against Aravis' fake camera, a GigE Vision camera on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.errors import Permanent, Temporary
from agent.sources import FrameSource, build_source
from agent.sources.factory import parse_source
from tests.support.genicam_cameras import SERIAL, ArvCamera, arv_camera, read_on
from tests.support.resources import leaks_nothing

Build = Callable[..., FrameSource]


@pytest.fixture
def camera() -> Iterator[ArvCamera]:
    with arv_camera() as running:
        yield running


@pytest.fixture
def build(tmp_path: Path, camera: ArvCamera) -> Iterator[Build]:
    built: list[FrameSource] = []

    def make(**settings: Any) -> FrameSource:
        # A frame of three packets, which arrives complete however busy this machine is.
        small = {"region": {"width": 64, "height": 64}, "read_timeout_seconds": 15.0}
        values = {"kind": "genicam", "camera": camera.address, **small, **settings}
        built.append(build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine"))
        return built[-1]

    yield make
    for source in built:
        source.close()


@pytest.mark.parametrize("pixel_format", ["Mono8", "Mono16"])
def test_frames_have_the_format_and_the_rate_that_were_asked_for(build: Build, pixel_format: str) -> None:
    with build(pixel_format=pixel_format, frames_per_second=10.0) as source:
        times = [source.read().captured_monotonic for _ in range(11)]
        frame = source.read()
    assert frame.image.shape == (64, 64, 1)
    assert frame.image.dtype == (np.uint8 if pixel_format == "Mono8" else np.uint16)
    assert frame.image.std() > 1.0
    assert np.median(np.diff(times)) == pytest.approx(1 / 10.0, rel=0.3)
    # A busy machine loses packets; the frames that they belonged to are left out, and counted.
    assert source.damaged <= 3


def test_camera_is_found_by_its_serial_number(build: Build) -> None:
    with build(camera=SERIAL) as source:
        assert source.read().image.size > 0


def test_camera_that_is_not_there_is_one_line_with_those_that_are(build: Build) -> None:
    with pytest.raises(Temporary) as error:
        build(camera="GV-OTHER").open()
    assert str(error.value).startswith("camera GV-OTHER was not found: Aravis Fake, serial GV-LINE-7")
    assert "\n" not in str(error.value)


def test_region_is_what_the_camera_sends(build: Build) -> None:
    with build(region={"x": 64, "y": 32, "width": 256, "height": 128}) as source:
        assert source.read().image.shape == (128, 256, 1)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"pixel_format": "Mono77"}, "got pixel_format = 'Mono77', the camera has Bayer.*Mono8.*Mono16"),
        ({"trigger": "Line9"}, "got trigger = 'Line9', the camera has Line0, Software"),
        ({"exposure_microseconds": 1e9}, r"got exposure_microseconds = 1e\+09, wanted 10 to 1e\+07"),
        ({"gain": 1000.0}, "got gain = 1000, wanted 0 to 10"),
        ({"exposure_microseconds": "auto"}, "got exposure_microseconds = 'auto', which it has not: wanted a number"),
        ({"region": {"width": 100_000, "height": 64}}, "got region = .*100000.*, which it rejects"),
        ({"features": {"NoSuchFeature": 1}}, "got features.NoSuchFeature = 1, which it rejects: .*Not found"),
    ],
)
def test_setting_that_the_camera_lacks_is_one_line(build: Build, settings: dict[str, Any], line: str) -> None:
    with pytest.raises(Permanent, match=line) as error:
        build(**settings).open()
    assert "\n" not in str(error.value)


def test_features_are_set_by_their_names(build: Build) -> None:
    """A float that is given without a point is one."""
    with build(features={"GainRaw": 3, "ExposureTimeAbs": 5000, "PixelFormat": "Mono16"}) as source:
        assert source.read().image.dtype == np.uint16


def test_each_software_trigger_gives_one_frame_that_names_it(build: Build) -> None:
    with build(trigger="software") as source:
        for _ in range(5):
            asked = time.monotonic()
            source.trigger(asked)
            captured = source.read()
            assert captured.triggered_monotonic == asked
            assert asked <= captured.captured_monotonic <= time.monotonic()


def test_packets_of_other_connections_are_not_read_as_frames(build: Build) -> None:
    """As root, a packet socket took them while a stream was made, and all frames of the camera counted as late."""
    source, ended = build(trigger="software", read_timeout_seconds=3.0), threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            while not ended.wait(0.0001):
                other.sendto(b"\x00\x00\x7f\xff" + bytes(20), ("127.0.0.1", 9))

    # After a damaged frame, a read waits for the next trigger.
    sender, limit = threading.Thread(target=send), threading.Timer(60.0, source.cancel)
    sender.start()
    limit.start()
    try:
        for _ in range(20):
            with source:
                source.trigger(time.monotonic())
                source.read()
    finally:
        limit.cancel()
        ended.set()
        sender.join()
    assert source.damaged == 0


def test_triggers_that_come_at_once_are_answered_in_their_order(build: Build) -> None:
    with build(trigger="software") as source:
        asked = [time.monotonic() + index / 1000 for index in range(3)]
        for each in asked:
            source.trigger(each, 2)
        assert [source.read().triggered_monotonic for _ in range(6)] == [each for each in asked for _ in range(2)]


def test_triggered_camera_without_a_trigger_gives_nothing_and_its_read_can_be_cancelled(build: Build) -> None:
    source = build(trigger="software")
    source.open()
    ended: list[Exception] = []

    def read() -> None:
        try:
            source.read()
        except Exception as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(0.3)
    assert reader.is_alive()
    assert source.waiting == "camera 127.0.0.1 waits for a trigger"
    source.cancel()
    reader.join(60)
    assert [type(error) for error in ended] == [Temporary]
    source.close()


def test_camera_that_another_program_controls_is_waited_for(build: Build) -> None:
    with build() as other:
        other.read()
        with pytest.raises(Temporary, match=r"camera 127\.0\.0\.1 is controlled by another program"):
            build(open_timeout_seconds=1.0).open()
        threading.Timer(0.5, other.close).start()
        with build(open_timeout_seconds=20.0) as source:
            assert source.read().image.size > 0


def test_camera_without_power_is_lost_and_comes_back(build: Build, camera: ArvCamera) -> None:
    source = build(read_timeout_seconds=8.0, open_timeout_seconds=20.0)
    with source:
        source.read()
        camera.kill()
        with pytest.raises(Temporary, match=r"gave no frame for 8 s|is lost"):
            read_on(source)
    camera.start()
    with source:
        assert source.read().image.size > 0


def test_camera_without_power_is_noticed_while_a_trigger_is_waited_for(build: Build, camera: ArvCamera) -> None:
    """Within the three seconds of a heartbeat and the retries of a request."""
    with build(trigger="Line0") as source:
        camera.kill()
        started = time.monotonic()
        with pytest.raises(Temporary, match=r"camera 127\.0\.0\.1 is lost"):
            source.read()
        assert time.monotonic() - started < 15.0


def test_nothing_leaks_over_fifty_connections(build: Build) -> None:
    source = build()

    def connect() -> None:
        with source:
            source.read()

    # Of tests before this one.
    for thread in threading.enumerate():
        if thread.name == "camera-release":
            thread.join()
    leaks_nothing(connect)


def test_incomplete_frames_are_counted_and_never_delivered(tmp_path: Path) -> None:
    """One packet of fifty is lost; a frame has 190."""
    values = {"kind": "genicam", "camera": "127.0.0.1", "read_timeout_seconds": 10.0, "packet_size": 1400}
    with arv_camera("-r", "20"):
        source = build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine")
        end = time.monotonic() + 30.0
        with source:
            while source.damaged == 0 and time.monotonic() < end:
                _read_or_time_out(source)
        assert source.damaged > 0
        counts = source.transport
        assert counts is not None
        assert counts.packets_missing > 0


def _read_or_time_out(source: FrameSource) -> None:
    try:
        image = source.read().image
    except Temporary:
        return
    # The test image has no black square; where a packet is missing, the buffer has the bytes of before, or zeros.
    assert image.shape == (512, 512, 1)
