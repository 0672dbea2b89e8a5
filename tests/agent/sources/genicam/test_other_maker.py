"""Against a camera that is not the library's own: further pixel formats, lost packets, control that is taken away."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.errors import Temporary
from agent.sources import FrameSource, build_source
from agent.sources.factory import parse_source
from tests.support.genicam_cameras import alone_on_the_port, read_on, viva_camera

Build = Callable[..., FrameSource]


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with alone_on_the_port():
        yield


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    built: list[FrameSource] = []

    def make(camera: str = "127.0.0.1", **settings: Any) -> FrameSource:
        values = {"kind": "genicam", "camera": camera, "read_timeout_seconds": 10.0, **settings}
        built.append(build_source(parse_source(values), quarantine_directory=tmp_path / "quarantine"))
        return built[-1]

    yield make
    for source in built:
        source.close()


@pytest.mark.parametrize(
    ("pixel_format", "channels", "highest"),
    [("Mono12p", 1, 4095), ("Mono10p", 1, 1023), ("Mono12Packed", 1, 4095), ("BayerRG8", 3, 255), ("RGB8", 3, 255)],
)
def test_image_is_the_test_pattern_in_each_format(build: Build, pixel_format: str, channels: int, highest: int) -> None:
    """The pattern is smooth, so that bits in a wrong place show: a neighbour is nearer than a pixel far away."""
    with viva_camera(width=64, height=48, pixel_format=pixel_format), build() as source:
        image = source.read().image
    assert image.shape == (48, 64, channels)
    assert image.dtype == (np.uint8 if highest == 255 else np.uint16)
    assert highest / 8 < image.max() <= highest


def test_lost_packets_are_sent_again(build: Build) -> None:
    with viva_camera(width=64, height=64, fps=50, drop_packets=[(index, 1) for index in range(3, 30, 3)]):
        source = build()
        with source:
            for _ in range(12):
                source.read()
            assert source.damaged == 0
            assert source.transport is not None
            assert source.transport.packets_resent >= 3


def test_frames_without_their_packets_are_not_delivered(build: Build) -> None:
    dropped = [(index, 1) for index in range(2, 200, 2)]
    with viva_camera(width=64, height=64, fps=50, packet_resend=False, drop_packets=dropped):
        source = build()
        with source:
            for _ in range(5):
                source.read()
            assert source.damaged > 0
            assert source.transport is not None
            assert source.transport.packets_missing > 0


def test_frame_after_incomplete_ones_names_its_own_trigger_and_how_many_were_lost(build: Build) -> None:
    """Of five parts, the third and the fourth get an incomplete frame."""
    camera = viva_camera(width=64, height=64, packet_resend=False, drop_packets=[(3, 1), (4, 1)])
    with camera, build(trigger="software") as source:
        asked = [time.monotonic() + index / 1000 for index in range(5)]
        for each in asked:
            source.trigger(each)
        frames = [source.read() for _ in range(3)]
        assert [frame.triggered_monotonic for frame in frames] == [asked[0], asked[1], asked[4]]
        assert [frame.lost_before for frame in frames] == [0, 0, 2]
        assert source.damaged == 2


def test_software_trigger_reaches_the_camera(build: Build) -> None:
    camera = viva_camera(width=64, height=64)
    with camera, build(trigger="software") as source:
        for _ in range(3):
            asked = time.monotonic()
            source.trigger(asked)
            assert source.read().triggered_monotonic == asked
        assert camera.software_triggers() == 3


@pytest.mark.parametrize("trigger", ["off", "Line1"])
def test_control_that_is_taken_away_is_a_lost_camera(build: Build, trigger: str) -> None:
    camera = viva_camera(width=64, height=64, fps=20)
    with camera, build(trigger=trigger) as source:
        if trigger == "off":
            source.read()
        camera.revoke_control()
        started = time.monotonic()
        with pytest.raises(Temporary, match="is lost: it no longer answers, or obeys another program"):
            read_on(source)
        assert time.monotonic() - started < 10.0


def test_automatic_exposure_is_held_once_the_camera_is_armed_and_after_a_restart(build: Build, tmp_path: Path) -> None:
    def register(name: str, size: int, form: str) -> Any:
        return struct.unpack(form, camera.peek(camera.REGISTERS[name], size))[0]

    camera = viva_camera(width=64, height=64, fps=20)
    settings = {"exposure_microseconds": "auto", "gain": "auto"}
    with camera, build(**settings) as source:
        source.read()
        assert register("ExposureAuto", 4, ">I") == 2, "continuous"
        source.hold()
        source.read()
        source.read()
        assert register("ExposureAuto", 4, ">I") == 0, "off"
        kept = register("ExposureTime", 8, ">d")
    assert json.loads((tmp_path / "light.json").read_bytes()) == {
        "camera": "127.0.0.1",
        "exposure_time": kept,
        "gain": 0.0,
    }
    # Another camera of the type, after a power cut: it begins with its own exposure.
    (tmp_path / "light.json").write_text('{"camera": "127.0.0.1", "exposure_time": 1234.0, "gain": 3.0}')
    camera = viva_camera(width=64, height=64, fps=20)
    with camera, build(**settings) as source:
        source.read()
        assert register("ExposureAuto", 4, ">I") == 0
        assert register("ExposureTime", 8, ">d") == 1234.0


def test_light_of_another_camera_or_a_broken_file_is_not_used(build: Build, tmp_path: Path) -> None:
    for text in ('{"camera": "127.0.0.9", "exposure_time": 1234.0}', "{", '{"camera": "127.0.0.1", "gain": 2.0}'):
        (tmp_path / "light.json").write_text(text)
        camera = viva_camera(width=64, height=64, fps=20)
        with camera, build(exposure_microseconds="auto") as source:
            source.read()
            assert camera.peek(camera.REGISTERS["ExposureAuto"], 4)[-1] == 2


def test_two_cameras_are_read_beside_each_other(build: Build) -> None:
    first, second = (viva_camera(width=64, height=size, bind_ip=f"127.0.0.{size}") for size in (48, 64))
    with first, second, build("127.0.0.48") as one, build("127.0.0.64") as other:
        for _ in range(5):
            assert one.read().image.shape == (48, 64, 1)
            assert other.read().image.shape == (64, 64, 1)
