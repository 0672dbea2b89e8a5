"""Network cameras: URLs without their secrets, opening a stream, and finding out why it does not open."""

from __future__ import annotations

import socket
from urllib.parse import SplitResult, urlsplit

import cv2

from agent.core.errors import Permanent
from agent.core.secrets import redacted
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.ffmpeg_options import DEFAULT, LOW_DELAY, ffmpeg_options
from agent.sources.opencv.grabber import Handle
from agent.sources.opencv.motion_jpeg import checked
from agent.sources.settings import NETWORK_CAMERA_PORTS


class RtspStream:
    """A network camera: rtsp://, rtsps://, http:// or https://. RTSP runs over TCP, as OpenCV has it by default.

    Its text hides passwords. If the camera changes its image size in mid-stream, frames of motion JPEG have the new
    size at once; OpenCV scales H.264 to the first size, so the new size appears when the stream is opened again.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def __str__(self) -> str:
        return redacted(self._url)

    def check(self) -> None:
        """Raise `Permanent` for a scheme that network cameras do not use."""
        scheme = self._url.partition("://")[0].lower()
        if scheme not in NETWORK_CAMERA_PORTS:
            schemes = ", ".join(f"{known}://" for known in NETWORK_CAMERA_PORTS)
            raise Permanent(f"camera {self} is not the URL of a network camera, wanted one of {schemes}")

    @property
    def over_rtsp(self) -> bool:
        """Whether its frames come by RTSP."""
        return self._url.partition("://")[0].lower() in ("rtsp", "rtsps")

    def connect(self, settings: CaptureSettings) -> Handle:
        """Open the stream with timeouts of OpenCV's own; they end a handle that was abandoned."""
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(settings.open_timeout_seconds * 1000.0),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(settings.read_timeout_seconds * 1000.0),
        ]
        if not self.over_rtsp:
            with ffmpeg_options.use(DEFAULT):
                return checked(cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, parameters))
        # A camera that does not answer must not keep others from opening.
        if not _answers(self._url, settings.open_timeout_seconds):
            return cv2.VideoCapture()
        with ffmpeg_options.use(LOW_DELAY):
            return checked(cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, parameters))

    def diagnose(self) -> str:
        """Find out why the stream did not open."""
        return diagnose_stream(self._url)


def _answers(url: str, timeout_seconds: float) -> bool:
    """Whether a TCP connection to the camera can be made."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or "", parts.port or NETWORK_CAMERA_PORTS.get(parts.scheme, 554)
        with socket.create_connection(place, timeout_seconds):
            return True
    except (OSError, ValueError):
        return False


def diagnose_stream(url: str, timeout_seconds: float = 1.0) -> str:
    """Find out why a stream does not open: network, camera, stream name or password; waits up to twice the timeout."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or NETWORK_CAMERA_PORTS.get(parts.scheme, 554)
    except ValueError:
        return "the URL cannot be parsed"
    if not host:
        return "the URL names no host"
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            return _describe_stream(connection, parts) if parts.scheme == "rtsp" else "it answers, but gives no video"
    except socket.gaierror:
        return f"the host name {host} cannot be resolved"
    except TimeoutError:
        return f"no answer from {host} port {port}"
    except OSError as error:
        return f"{host} port {port}: {(error.strerror or str(error)).lower()}"


def _describe_stream(connection: socket.socket, parts: SplitResult) -> str:
    """Send DESCRIBE to an RTSP camera, without credentials, and put its answer into words."""
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    connection.sendall(request.encode("ascii", "replace"))
    answer = connection.recv(256).decode("ascii", "replace").split(maxsplit=2)
    status = answer[1] if len(answer) > 1 and answer[0].startswith("RTSP/") else ""
    if status == "401":
        return "it rejects the user or password" if parts.username else "it requires a user and a password"
    if status == "404":
        return f"it has no stream named {parts.path or '/'}"
    return "it answers, but gives no video" if status else "the host that answers is not an RTSP camera"
