"""Against a GenTL producer: the cameras that GenICam's own package simulates."""

from __future__ import annotations

import sys
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
from tests.support.genicam_cameras import VIKY_NAMES, viky_producer
from tests.support.resources import leaks_nothing

Build = Callable[..., FrameSource]

SERIAL = "1"


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    built: list[FrameSource] = []
    viky = viky_producer()

    def make(**settings: Any) -> FrameSource:
        values = {"kind": "genicam", "camera": SERIAL, "producer": viky, "read_timeout_seconds": 10.0, **settings}
        built.append(build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine"))
        return built[-1]

    yield make
    for source in built:
        source.close()


def test_frames_have_the_format_region_and_rate_that_were_asked_for(build: Build) -> None:
    region = {"width": 200, "height": 120}
    with build(pixel_format="Mono8", region=region, frames_per_second=10.0) as source:
        times = [source.read().captured_monotonic for _ in range(11)]
        frame = source.read()
        assert source.transport is not None
    assert frame.image.shape == (120, 200, 1)
    assert frame.image.dtype == np.uint8
    # A white court with a dark ball and two bats.
    assert np.ptp(frame.image) > 100
    assert np.median(np.diff(times)) == pytest.approx(1 / 10.0, rel=0.3)


def test_colour_with_an_alpha_channel_is_bgr(build: Build) -> None:
    """The red court has a red ball."""
    with build(camera=VIKY_NAMES[0], pixel_format="RGBa8") as source:
        image = source.read().image.astype(int)
    assert image.shape == (400, 400, 3)
    blue, green, red = (image[:, :, channel] for channel in range(3))
    assert ((red > 200) & (green < 100) & (blue < 100)).any()
    assert not ((blue > 200) & (green < 100) & (red < 100)).any()


@pytest.mark.parametrize("name", [SERIAL, VIKY_NAMES[1]])
def test_camera_is_found_by_serial_number_and_name(build: Build, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with build(camera=name) as source:
        source.read()
    assert f"camera {name} is open: Machine Vision Games Ltd. Viky {SERIAL}" in caplog.text


def test_camera_that_is_not_there_is_one_line_with_those_that_are(build: Build) -> None:
    with pytest.raises(Temporary) as error:
        build(camera="7").open()
    text = str(error.value)
    assert text.startswith("camera 7 was not found: Machine Vision Games Ltd. Viky, serial 0, VikyTL_DEV_red; ")
    assert "\n" not in text


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"pixel_format": "Mono12"}, "got pixel_format = 'Mono12', the camera has RGBa8, Mono8"),
        ({"trigger": "software"}, "got trigger = 'Software', the camera has none"),
        ({"exposure_microseconds": 5.0}, "got exposure_microseconds = 5.0, which it rejects: it has no feature Exp"),
        ({"gain": "auto"}, "got gain = 'auto', which it has not: wanted a number"),
        ({"frames_per_second": 1e6}, r"got frames_per_second = 1e\+06, wanted 1 to 200"),
        ({"packet_size": 8000}, "got packet_size = 8000, which it rejects: it has no feature GevSCPSPacketSize"),
        ({"region": {"width": 100_000, "height": 64}}, "got region = .*, which it rejects: Value = 100000 must be"),
        ({"features": {"NoSuch": 1}}, "got features.NoSuch = 1, which it rejects: it has no feature NoSuch"),
        ({"features": {"BouncingBallSize": "red"}}, "got features.BouncingBallSize = 'red', which it rejects"),
        ({"features": {"PayloadSize": 5}}, "got features.PayloadSize = 5, which it rejects: Node is not writable"),
        ({"producer": "/no/such.cti"}, r"producer /no/such\.cti cannot be loaded: .*No such file"),
        ({"producer": "/a\0b.cti"}, "cannot be loaded: embedded null byte"),
        ({"producer": __file__}, r"producer .*\.py cannot be loaded: .*invalid ELF header"),
    ],
)
def test_setting_that_is_not_possible_is_one_line(build: Build, settings: dict[str, Any], line: str) -> None:
    with pytest.raises(Permanent, match=line) as error:
        build(**settings).open()
    assert "\n" not in str(error.value)
    assert "Exception" not in str(error.value)


def test_library_that_is_no_producer_is_one_line(build: Build) -> None:
    library = next(Path("/usr/lib").rglob("libz.so.1"))
    with pytest.raises(Permanent, match=r"has no GCInitLib; wanted a GenTL producer, a \.cti file, of 1\.4 or later"):
        build(producer=library).open()


def test_without_the_extra_is_one_line_with_its_command(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    source = build()
    monkeypatch.setitem(sys.modules, "genicam.genapi", None)
    with pytest.raises(Permanent, match=r"a producer needs the extra genicam: pip install 'inspectd\[genicam\]'"):
        source.open()


def test_feature_by_its_name(build: Build) -> None:
    """A larger ball, and so more dark pixels; a float is taken for a whole number."""

    def dark(size: float) -> int:
        with build(pixel_format="Mono8", features={"BouncingBallSize": size}) as source:
            return max(int((source.read().image < 128).sum()) for _ in range(5))

    assert dark(40.0) > 2 * dark(10)


def test_other_threads_run_while_a_frame_is_waited_for(build: Build) -> None:
    """The binding of GenICam would stop them."""
    ticks, ended = 0, threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not ended.wait(0.001):
            ticks += 1

    with build(frames_per_second=2.0) as source:
        source.read()
        thread = threading.Thread(target=tick)
        thread.start()
        source.read()
        ended.set()
        thread.join()
    assert ticks > 50


def test_camera_that_is_in_use_is_waited_for(build: Build) -> None:
    with build() as other:
        other.read()
        with pytest.raises(Temporary, match="camera 1 is controlled by another program"):
            build(open_timeout_seconds=1.0).open()
        threading.Timer(0.5, other.close).start()
        with build(open_timeout_seconds=20.0) as source:
            assert source.read().image.size > 0


def test_camera_that_gives_no_frame_is_lost_and_comes_back(build: Build) -> None:
    with build(frames_per_second=1.0, read_timeout_seconds=0.2) as slow:
        with pytest.raises(Temporary, match=r"camera 1 gave no frame for 0\.2 s"):
            slow.read()
        slow.close()
    with build(open_timeout_seconds=20.0) as source:
        assert source.read().image.size > 0


def test_frames_that_are_not_fetched_are_counted(build: Build) -> None:
    """More of them than there are buffers."""
    with build(frames_per_second=200.0) as source:
        source.read()
        end = time.monotonic() + 30.0
        while source.transport is None or source.transport.frames_lost == 0:
            assert time.monotonic() < end
            threading.Event().wait(0.5)
            source.read()


def test_two_cameras_of_a_producer_are_read_beside_each_other(build: Build) -> None:
    with build(camera="0", pixel_format="Mono8") as one, build(camera="2") as other:
        for _ in range(5):
            assert one.read().image.shape == (400, 400, 1)
            assert other.read().image.shape == (400, 400, 3)


def test_nothing_leaks_over_fifty_connections(build: Build) -> None:
    source = build()

    def connect() -> None:
        with source:
            source.read()

    leaks_nothing(connect)
