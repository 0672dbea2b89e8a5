"""Cameras in the network: what may be shown of their address, how they are opened, why they do not answer."""

from __future__ import annotations

import re
import socket
from urllib.parse import SplitResult, urlsplit

import cv2

from agent.core.errors import Permanent
from agent.sources.opencv.address import CaptureSettings
from agent.sources.opencv.grabber import Handle
from agent.sources.settings import NETWORK_CAMERA_PORTS

# Many cameras want the password elsewhere: /video?user=admin&password=1234, or /user=admin_password=1234_channel=1.sdp.
_SECRET_VALUE = re.compile(r"(?i)((?:pass|pwd|token|secret|key|auth)[\w-]*=)[^&;/?]*")


class RtspStream:
    """A network camera: rtsp://, rtsps://, http:// or https://. RTSP runs over TCP, as OpenCV has it by default.

    Its text hides passwords. A change of size in mid-stream shows at once with motion JPEG; OpenCV scales H.264 to the
    size that it began with, so that the change shows when the stream is opened again.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def __str__(self) -> str:
        return redacted(self._url)

    def check(self) -> None:
        """Raise `Permanent` for a scheme that no network camera speaks."""
        scheme = self._url.partition("://")[0].lower()
        if scheme not in NETWORK_CAMERA_PORTS:
            schemes = ", ".join(f"{known}://" for known in NETWORK_CAMERA_PORTS)
            raise Permanent(f"camera {self} is no address of a network camera, wanted one of {schemes}")

    def connect(self, wishes: CaptureSettings) -> Handle:
        """Open the stream with OpenCV's own timeouts, which end a handle that we no longer wait for."""
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(wishes.open_timeout_seconds * 1000.0),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(wishes.read_timeout_seconds * 1000.0),
        ]
        return cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, parameters)

    def refusal(self) -> str:
        """Find out why the stream did not open."""
        return diagnose(self._url)


def redacted(url: str) -> str:
    """Leave user, password and secrets of the query out of a URL, for messages and logs.

    >>> redacted("rtsp://admin:1234@10.0.0.7:8554/line1?password=x&channel=1")
    'rtsp://***@10.0.0.7:8554/line1?password=***&channel=1'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _SECRET_VALUE.sub(r"\1***", url)
    # A password may itself hold "@" or "/", unescaped as people type it: everything before the last "@" is hidden.
    credentials, at, place = rest.rpartition("@")
    shown = f"***@{place}" if at and credentials else rest
    return scheme + separator + _SECRET_VALUE.sub(r"\1***", shown)


def diagnose(url: str, timeout_seconds: float = 1.0) -> str:
    """Find out in words why a stream does not open: the network, the camera, the stream's name or the password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or NETWORK_CAMERA_PORTS.get(parts.scheme, 554)
    except ValueError:
        return "the address cannot be understood"
    if not host:
        return "the address names no host"
    try:
        with socket.create_connection((host, port), timeout_seconds) as connection:
            return _ask(connection, parts) if parts.scheme == "rtsp" else "it answers, but gives no video"
    except socket.gaierror:
        return f"no address is known for {host}"
    except TimeoutError:
        return f"no answer from {host} port {port}"
    except OSError as error:
        return f"{host} port {port}: {(error.strerror or str(error)).lower()}"


def _ask(connection: socket.socket, parts: SplitResult) -> str:
    """Ask an RTSP camera for the stream, without credentials, and put its answer into words."""
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
    connection.sendall(request.encode("ascii", "replace"))
    answer = connection.recv(256).decode("ascii", "replace").split(maxsplit=2)
    status = answer[1] if len(answer) > 1 and answer[0].startswith("RTSP/") else ""
    if status == "401":
        return "it refuses the user or password" if parts.username else "it wants a user and a password"
    if status == "404":
        return f"it has no stream named {parts.path or '/'}"
    return "it answers, but gives no video" if status else "what answers there is no RTSP camera"
