"""A real RTSP camera for tests, in its own process, which can be stopped, killed and started again."""

from __future__ import annotations

import signal
import subprocess
from functools import cache
from pathlib import Path
from types import TracebackType

from tests.support.broker import free_port

SERVER = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
ELEMENTS = {
    "jpeg": ("jpegenc", "rtpjpegpay"),
    "h264": ("openh264enc", "h264parse", "rtph264pay"),
    "h265": ("x265enc", "h265parse", "rtph265pay"),
}
ELEMENTS["h265-b-frames"] = ELEMENTS["h265"]
MORE_PACKAGES = {"jpeg": ""}


@cache
def missing(codec: str = "jpeg") -> str | None:
    """Why no camera can run here; None if one can."""
    probe = (
        "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
        f"Gst.init(None); assert all(map(Gst.ElementFactory.find, {('videotestsrc', *ELEMENTS[codec])!r}))"
    )
    found = (
        Path(SYSTEM_PYTHON).exists()
        and not subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False).returncode
    )
    more = MORE_PACKAGES.get(codec, " gstreamer1.0-plugins-bad")
    return None if found else f"no RTSP camera for tests: apt install {PACKAGES}{more}"


class RtspCamera:
    """The camera; `codec` is one or several with commas, `size` is (width, height) in pixels."""

    def __init__(
        self,
        codec: str = "jpeg",
        size: tuple[int, int] = (320, 240),
        credentials: tuple[str, str] | None = None,
        *,
        address: str = "127.0.0.1",
        inside: tuple[str, ...] = (),
    ) -> None:
        """Args: inside: before its command, to run it on another host, whose `address` is given."""
        self.port = free_port()
        self._address = address
        place = f"{address}:{self.port}"
        command = [SYSTEM_PYTHON, str(SERVER), place, codec, *map(str, size), *(credentials or ())]
        self._command = [*inside, *command]
        self._process: subprocess.Popen[str] | None = None

    def url(self, path: str = "line", credentials: str = "") -> str:
        """The address of the camera; credentials as in a URL: `user:password@`."""
        return f"rtsp://{credentials}{self._address}:{self.port}/{path}"

    def start(self) -> None:
        """Switch it on and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def stall(self) -> None:
        """Let it hang: connections stay open, no data arrives."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue after `stall`."""
        self._signal(signal.SIGCONT)

    def shrink(self) -> None:
        """Halve the size of its frames in mid-stream."""
        self._signal(signal.SIGUSR1)

    def change_codec(self) -> None:
        """Go on with its next codec, in mid-stream."""
        self._signal(signal.SIGUSR2)

    def kill(self) -> None:
        """Pull the plug."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> RtspCamera:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
