"""Industrial cameras for tests: on loopback Aravis' own and one of another maker, and those of a GenTL producer.

The port of the protocol is fixed, so that one camera at a time can use an address: a lock keeps the processes of a test
run apart.
"""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

import pytest

from agent.sources import FrameSource

PROGRAM = "arv-fake-gv-camera-0.8"
MISSING = f"{PROGRAM} is not installed: apt install aravis-tools"

CONTROL_PORT = 3956

SERIAL = "GV-LINE-7"


class ArvCamera:
    """Aravis' fake camera, a program: 512×512 pixels, Mono8, Mono16 and more, 25 frames/s."""

    address = "127.0.0.1"

    def __init__(self, *options: str, address: str = address, inside: tuple[str, ...] = ()) -> None:
        """Args:
        options: further ones of the program, such as `-r 100`: packets lost of 1000.
        inside: before its command, to run it on another host, whose `address` is given.
        """
        self.address = address
        self._inside = inside
        self._command = [*inside, PROGRAM, "-i", address, "-s", SERIAL, *options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Switch it on and wait until it listens."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10.0
        while not self._listens():
            assert self._process.poll() is None, "the fake camera has ended"
            assert time.monotonic() < end, "the fake camera does not listen"

    def stall(self) -> None:
        """Let it hang."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `stall`."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _listens(self) -> bool:
        """Whether the port of the protocol is bound."""
        command = [*self._inside, "ss", "--no-header", "--udp", "--listening", f"sport = :{CONTROL_PORT}"]
        return bool(subprocess.run(command, capture_output=True, check=True).stdout)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> ArvCamera:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@contextmanager
def alone_on_the_port() -> Iterator[None]:
    """While no other test has a camera."""
    with (Path(tempfile.gettempdir()) / "inspectd-test-gige-vision.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def arv_camera(*options: str) -> Iterator[ArvCamera]:
    """A running camera of Aravis; skips the test where the program is missing."""
    if shutil.which(PROGRAM) is None:
        pytest.skip(MISSING)
    with alone_on_the_port(), ArvCamera(*options) as camera:
        yield camera


def viva_camera(**options: Any) -> Any:
    """A camera of viva-genicam, not started; skips the test where there is no wheel of it, as on aarch64."""
    testing = pytest.importorskip("viva_genicam.testing", reason="viva-genicam has wheels for x86-64 only")
    return testing.FakeGigeCamera(**options)


# The cameras of the simulated producer in the package genicam; their serial numbers are 0, 1 and 2.
VIKY_NAMES = ("VikyTL_DEV_red", "VikyTL_DEV_green", "VikyTL_DEV_blue")


def viky_producer() -> Path:
    """A GenTL producer of three simulated cameras: 400×400 pixels, RGBa8 and Mono8, 20 frames/s, no trigger."""
    reason = "a producer needs the extra genicam, and the package libpython3.X of the distribution's Python"
    package = pytest.importorskip("genicam.genapi", reason=reason, exc_type=ImportError)
    return Path(package.__file__).with_name("viky.cti")


def read_on(source: FrameSource) -> NoReturn:
    """Read until the source raises."""
    while True:
        source.read()
