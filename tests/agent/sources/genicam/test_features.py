"""Features by GenApi, as a producer's cameras have them, on the registers of cameras with triggers and exposures."""

from __future__ import annotations

import ast
import inspect
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.core.errors import Permanent
from agent.sources.genicam.camera import CameraError, Received
from agent.sources.genicam.configuring import configure, hold_light
from agent.sources.genicam.settings import GenicamSettings
from tests.support.genicam_cameras import ArvCamera, alone_on_the_port, arv_camera, viva_camera

genapi = pytest.importorskip("genicam.genapi", reason="GenApi needs the extra genicam", exc_type=ImportError)

from tests.support.genicam_registers import RegisterCamera  # noqa: E402 - needs the extra

STUBS = Path(__file__).parents[3] / "stubs" / "genicam" / "genapi.pyi"


def settings(**values: Any) -> GenicamSettings:
    return GenicamSettings.model_validate({"kind": "genicam", "camera": "127.0.0.1", **values})


@pytest.fixture
def device() -> Iterator[Any]:
    """The camera itself, whose registers can be looked at."""
    with alone_on_the_port():
        camera = viva_camera(width=64, height=64, fps=20)
        with camera:
            yield camera


@pytest.fixture
def camera(device: Any) -> Iterator[RegisterCamera]:
    opened = RegisterCamera("127.0.0.1")
    yield opened
    opened.close()


@pytest.fixture
def old_device() -> Iterator[ArvCamera]:
    with arv_camera() as running:
        yield running


@pytest.fixture
def old_camera(old_device: ArvCamera) -> Iterator[RegisterCamera]:
    """One with the names of before SFNC 2.0: ExposureTimeAbs, GainRaw."""
    opened = RegisterCamera(old_device.address)
    yield opened
    opened.close()


def register(device: Any, name: str, form: str) -> Any:
    return struct.unpack(form, device.peek(device.REGISTERS[name], struct.calcsize(form)))[0]


def receive(camera: RegisterCamera, seconds: float = 10.0) -> Received:
    received = camera.next(seconds)
    assert received is not None
    return received


def test_software_trigger_takes_one_frame_each(camera: RegisterCamera, device: Any) -> None:
    configure(camera, settings(trigger="software"), {})
    camera.start()
    assert camera.next(0.3) is None, "no frame without a trigger"
    for _ in range(3):
        camera.trigger()
        receive(camera)
    assert camera.next(0.3) is None
    assert device.software_triggers() == 3
    configure(camera, settings(trigger="off"), {})
    assert register(device, "TriggerMode", ">I") == 0


def test_exposure_and_gain_reach_the_camera(camera: RegisterCamera, device: Any) -> None:
    configure(camera, settings(exposure_microseconds=800.0, gain=3.0), {})
    assert register(device, "ExposureTime", ">d") == 800.0
    assert camera.light("gain") == 3.0
    with pytest.raises(Permanent, match="got exposure_microseconds = 5, wanted 10 to 1e"):
        configure(camera, settings(exposure_microseconds=5.0), {})


def test_automatic_exposure_is_held(camera: RegisterCamera, device: Any) -> None:
    configure(camera, settings(exposure_microseconds="auto"), {})
    assert register(device, "ExposureAuto", ">I") == 2, "continuous"
    kept = hold_light(camera, "exposure_time")
    assert register(device, "ExposureAuto", ">I") == 0, "off"
    assert register(device, "ExposureTime", ">d") == kept
    configure(camera, settings(exposure_microseconds="auto"), {"exposure_time": 1234.0})
    assert register(device, "ExposureTime", ">d") == 1234.0


def test_region_and_packet_size(camera: RegisterCamera, device: Any) -> None:
    region = {"x": 8, "y": 16, "width": 32, "height": 24}
    configure(camera, settings(region=region, packet_size=1400), {})
    assert camera._features.number("GevSCPSPacketSize", fresh=True) == 1400
    camera.start()
    image = receive(camera).image
    assert image is not None
    assert image.shape == (24, 32, 1)


def test_camera_of_before_sfnc_2(old_camera: RegisterCamera) -> None:
    configure(old_camera, settings(exposure_microseconds=2000.0, gain=3.0, frames_per_second=10.0), {})
    assert (old_camera.light("exposure_time"), old_camera.light("gain")) == (2000.0, 3.0)
    old_camera.start()
    times = [receive(old_camera).monotonic for _ in range(11)]
    assert np.median(np.diff(times)) == pytest.approx(1 / 10.0, rel=0.3)
    with pytest.raises(Permanent, match="got trigger = 'Line7', the camera has Line0, Software"):
        configure(old_camera, settings(trigger="Line7"), {})


def test_camera_without_power_is_an_error_of_the_camera(old_camera: RegisterCamera, old_device: ArvCamera) -> None:
    """Not one of GenApi, and not a value that was known before."""
    old_camera.probe()
    old_device.kill()
    with pytest.raises(CameraError, match=r"register 0x.* cannot be read"):
        old_camera.probe()
    old_camera.answers = False


def test_stubs_have_nothing_that_the_package_lacks() -> None:
    """mypy checks our code against them."""
    for declared in ast.parse(STUBS.read_text()).body:
        if not isinstance(declared, ast.ClassDef):
            continue
        real = getattr(genapi, declared.name)
        for member in declared.body:
            if isinstance(member, ast.FunctionDef):
                parameters = inspect.signature(getattr(real, member.name)).parameters
                wanted = [argument.arg for argument in member.args.args]
                variable = "args" in parameters
                assert variable or wanted == list(parameters)[: len(wanted)], (declared.name, member.name)
            elif isinstance(member, ast.AnnAssign):
                assert hasattr(real, ast.unparse(member.target)), (declared.name, ast.unparse(member.target))
