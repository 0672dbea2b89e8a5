"""A whole agent whose cameras are on another host, and whose cable is pulled again and again."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from engines.bundles.bundle import Bundle
from tests.support.agents import agent_processes, await_status, socket_path
from tests.support.broker import free_port, wait_until
from tests.support.dicom import write_image
from tests.support.far_host import HERE, THERE, FarHost
from tests.support.genicam_cameras import PROGRAM, ArvCamera
from tests.support.resources import descriptors, kernel_threads
from tests.support.rtsp_camera import RtspCamera, missing

CAMERA = """
[cameras.{name}]
bundle = "{bundle}"
[cameras.{name}.source]
{source}
[cameras.{name}.calibration]
frames = 60
max_frames = 60
"""

# How long a camera may take to be lost, and to return: Aravis needs 6 s to notice, and a camera is asked again for 6 s
# whether another program controls it.
SECONDS = 60.0


@pytest.fixture
def sources(far_host: FarHost) -> Iterator[dict[str, str]]:
    """The cameras on the other host, by name, as settings."""
    if missing("h265") is not None or shutil.which(PROGRAM) is None or shutil.which("storescu") is None:
        pytest.skip(missing("h265") or f"{PROGRAM} and storescu are needed: apt install aravis-tools dcmtk")
    with ExitStack() as cameras:
        cameras.enter_context(ArvCamera(address=THERE, inside=far_host.inside))
        receiver = f'listen = "{HERE}"\nport = {free_port()}\nallow = ["{THERE}"]\ntimeout_seconds = 2.0'
        found = {
            "genicam": f'kind = "genicam"\ncamera = "{THERE}"\nregion = {{ width = 64, height = 64 }}',
            "dicom": f'kind = "dicom"\n{receiver}',
        }
        readers = {"opencv": ""}
        if find_spec("av") is not None:
            readers["pyav"] = 'capture_time = "sender"'
        if ctypes.util.find_library("gstapp-1.0") is not None:
            readers["gstreamer"] = 'decoder = "gstreamer"'
        for name, settings in readers.items():
            rtsp = cameras.enter_context(RtspCamera("h265", address=THERE, inside=far_host.inside))
            found[name] = f'kind = "camera"\nurl = "{rtsp.url()}"\nread_timeout_seconds = 1.0\n{settings}'
        yield found


class XrayMachine:
    """On the other host: sends one image after the other."""

    def __init__(self, far_host: FarHost, port: str, folder: Path) -> None:
        self._command = [*far_host.inside, "storescu", "-to", "3", "-ta", "3", "-aec", "INSPECTD", HERE, port]
        self._folder, self._number = folder, 0

    def make(self) -> Path:
        """A new image, of 8 bits as those of the other cameras."""
        import pydicom

        self._number += 1
        path = write_image(self._folder / f"{self._number}.dcm", number=self._number)
        dataset = pydicom.dcmread(path)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = bytes([self._number % 256]) * (dataset.Rows * dataset.Columns)
        dataset.save_as(path)
        return path

    def begin(self, image: Path) -> subprocess.Popen[bytes]:
        """Start to send it."""
        return subprocess.Popen([*self._command, str(image)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def send(self, image: Path) -> None:
        """Send it until it is acknowledged."""
        wait_until(lambda: self.begin(image).wait(30) == 0, seconds=SECONDS, what="an acknowledged image")


@pytest.mark.parametrize(
    "pulls",
    [pytest.param(2, marks=pytest.mark.slow), pytest.param(50, marks=[pytest.mark.faults, pytest.mark.timeout(3000)])],
)
def test_every_camera_returns_when_the_cable_is_in_again(
    far_host: FarHost, sources: dict[str, str], tmp_path: Path, tiny_bundle: Bundle, pulls: int
) -> None:
    """Each time, all of them; and descriptors and threads are those of before."""
    config = tmp_path / "inspectd.toml"
    cameras = "".join(CAMERA.format(name=name, bundle=tiny_bundle.path, source=text) for name, text in sources.items())
    config.write_text(f'site = "plant"\nstate_directory = "state"\n[mqtt]\nurl = "mqtt://127.0.0.1:1"\n{cameras}')
    port = next(line.split()[-1] for line in sources["dicom"].splitlines() if line.startswith("port"))
    xray = XrayMachine(far_host, port, tmp_path)
    with agent_processes(config) as start:
        process, socket = start(), socket_path(tmp_path)
        xray.send(xray.make())
        status = _await_frames(socket, dict.fromkeys(sources, 0))
        held, returned = [], []
        for _ in range(pulls):
            image = xray.make()
            sending = xray.begin(image)
            far_host.unplug()
            status = await_status(socket, _all_lost, SECONDS)
            sending.wait(30)
            far_host.plug()
            plugged = time.monotonic()
            xray.send(image)
            status = _await_frames(socket, {name: _frames(status, name) for name in sources})
            returned.append(time.monotonic() - plugged)
            # Aravis gives a camera that was cut off back after twelve seconds.
            end = time.monotonic() + 30.0
            while len(held) > 2 and not _at_most(process.pid, held[:3]) and time.monotonic() < end:
                time.sleep(0.2)
            held.append((descriptors(process.pid), kernel_threads(process.pid)))
        print(f"\n{pulls} pulls: returned within {max(returned):.1f} s; descriptors and threads {held}")
        for counts in zip(*held, strict=True):
            assert max(counts[3:], default=0) <= max(counts[:3]), held


def _all_lost(status: dict[str, Any]) -> bool:
    """A receiver of DICOM is never lost: it waits."""
    return all(_phase(status, name) == "camera_lost" for name in status["cameras"] if name != "dicom")


def _at_most(pid: int, held: list[tuple[int, int]]) -> bool:
    files, threads = (max(counts) for counts in zip(*held, strict=True))
    return descriptors(pid) <= files and kernel_threads(pid) <= threads


def _await_frames(socket: Path, before: dict[str, int]) -> dict[str, Any]:
    """The status once each camera has given more frames than before, and none is lost."""
    return await_status(
        socket,
        lambda now: all(
            _frames(now, name) > frames and _phase(now, name) != "camera_lost" for name, frames in before.items()
        ),
        SECONDS,
    )


def _frames(status: dict[str, Any], name: str) -> int:
    return int(status["cameras"][name]["frames"])


def _phase(status: dict[str, Any], name: str) -> str:
    return str(status["cameras"][name]["phase"])
