"""URLs of network cameras: passwords are hidden, and the reason for not opening is found."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.core.errors import Permanent
from agent.sources.opencv.rtsp import RtspStream, diagnose_stream


def test_stream_of_another_scheme_is_permanent_and_hides_its_password() -> None:
    with pytest.raises(Permanent, match=r"wanted one of rtsp://, rtsps://, http://, https://") as error:
        RtspStream("ftp://admin:secret1@camera/x").check()
    assert "secret1" not in str(error.value)


@contextmanager
def answering(reply: bytes | None) -> Iterator[int]:
    """A server on loopback that sends one reply, or with None never answers; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                if reply is None:
                    done.wait(10.0)
                    return
                connection.recv(1024)
                connection.sendall(reply)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join(60)


@pytest.mark.parametrize(
    ("reply", "user", "reason"),
    [
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "", "it requires a user and a password"),
        (b"RTSP/1.0 401 Unauthorized\r\n\r\n", "admin:secret1@", "it rejects the user or password"),
        (b"RTSP/1.0 404 Not Found\r\n\r\n", "", "it has no stream named /line"),
        (b"RTSP/1.0 200 OK\r\n\r\n", "", "it answers, but gives no video"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "", "the host that answers is not an RTSP camera"),
        (b"", "", "the host that answers is not an RTSP camera"),
        (b"\xff\x00\x80", "", "the host that answers is not an RTSP camera"),
    ],
)
def test_diagnosis_puts_the_answer_into_words(reply: bytes, user: str, reason: str) -> None:
    with answering(reply) as port:
        assert diagnose_stream(f"rtsp://{user}127.0.0.1:{port}/line") == reason


def test_diagnosis_of_a_camera_that_does_not_answer_ends() -> None:
    with answering(None) as port:
        assert diagnose_stream(f"rtsp://127.0.0.1:{port}/line", 0.2) == f"no answer from 127.0.0.1 port {port}"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("rtsp://127.0.0.1:1/line", "127.0.0.1 port 1: connection refused"),
        ("rtsp://127.0.0.1:99999/line", "the URL cannot be parsed"),
        ("rtsp://[::1/line", "the URL cannot be parsed"),
        ("rtsp:///line", "the URL names no host"),
        ("rtsp://camera.invalid/line", "the host name camera.invalid cannot be resolved"),
    ],
)
def test_diagnosis_of_a_url_without_a_camera(url: str, reason: str) -> None:
    assert diagnose_stream(url) == reason
