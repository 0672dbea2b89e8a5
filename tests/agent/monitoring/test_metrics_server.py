"""Metrics over a port and over a Unix socket."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter

from agent.core.errors import Permanent
from agent.core.sockets.bounded_server import MAX_CLIENTS
from agent.monitoring.metrics_server import MetricsServer
from tests.support.broker import free_port
from tests.support.scraping import parsed, scrape_port, scrape_socket, value


@pytest.fixture
def registry() -> CollectorRegistry:
    made = CollectorRegistry()
    Counter("parts", "Parts.", registry=made).inc(3)
    return made


def test_unix_socket_is_open_to_owner_and_group_only(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = tmp_path / "run" / "metrics.sock"
    server = MetricsServer(registry, socket=path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert value(parsed(scrape_socket(path)), "parts_total") == 3
    server.close()
    assert not path.exists()


def test_socket_of_a_killed_agent_is_replaced(tmp_path: Path, registry: CollectorRegistry) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    server = MetricsServer(registry, socket=path)
    assert value(parsed(scrape_socket(path)), "parts_total") == 3
    server.close()


def test_port_is_on_the_loopback_interface_only(registry: CollectorRegistry) -> None:
    port = free_port()
    server = MetricsServer(registry, port=port)
    assert value(parsed(scrape_port(port)), "parts_total") == 3
    with socket.socket() as outside:
        # 127.0.0.2 is another address of this machine.
        assert outside.connect_ex(("127.0.0.2", port)) != 0
    server.close()


@pytest.mark.parametrize("place", ["port", "socket"])
def test_scrape_succeeds_while_slow_clients_hold_connections(
    tmp_path: Path, registry: CollectorRegistry, place: str
) -> None:
    port, path = free_port(), tmp_path / "metrics.sock"
    server = MetricsServer(registry, port=port) if place == "port" else MetricsServer(registry, socket=path)
    with contextlib.ExitStack() as held:
        for _ in range(200):
            client = held.enter_context(socket.socket(socket.AF_INET if place == "port" else socket.AF_UNIX))
            client.connect(("127.0.0.1", port) if place == "port" else str(path))
            client.sendall(b"GET / HTTP/1.1\r\nX: ")
        found = parsed(scrape_port(port) if place == "port" else scrape_socket(path))
        assert value(found, "parts_total") == 3
        threads = sum("process_request_thread" in thread.name for thread in threading.enumerate())
        assert threads <= 2 * MAX_CLIENTS
    server.close()


@pytest.mark.parametrize(
    "request_",
    [b"\r\n", b"GET\r\n", b"\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n",
     b"GET /" + b"x" * 70_000,
     b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500 + b"\r\n", b"GET / HTTP/1.1\r\nAccept: " + b"\xff" * 100 + b"\r\n\r\n",
     b"GET /?name[]=" + b"%00" * 100 + b" HTTP/1.1\r\n\r\n"],
    ids=lambda request_: ascii(request_[:20]),
)  # fmt: skip
def test_any_request_leaves_the_server_running(
    registry: CollectorRegistry, capfd: pytest.CaptureFixture[str], request_: bytes
) -> None:
    port = free_port()
    server = MetricsServer(registry, port=port)
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as client, contextlib.suppress(ConnectionError):
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass
    assert value(parsed(scrape_port(port)), "parts_total") == 3
    server.close()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"x" * 2**20, 414),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 2**20, 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 4_000_000, 501),
    ],
    ids=["line", "header", "headers", "body"],
)
def test_request_that_is_too_long_gets_an_answer(registry: CollectorRegistry, request_: bytes, status: int) -> None:
    """Not a reset connection: the client is still sending when it is rejected."""
    port = free_port()
    server = MetricsServer(registry, port=port)
    with socket.create_connection(("127.0.0.1", port), timeout=10.0) as client:
        client.sendall(request_)
        assert f" {status} ".encode() in client.makefile("rb").read()
    server.close()


@pytest.mark.parametrize("place", ["taken port", "file", "long"])
def test_place_that_cannot_be_used_is_one_line(tmp_path: Path, registry: CollectorRegistry, place: str) -> None:
    (tmp_path / "file").write_text("a user's")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where: dict[str, dict[str, Any]] = {
            "taken port": {"port": taken.getsockname()[1]},
            "file": {"socket": tmp_path / "file"},
            "long": {"socket": tmp_path / ("x" * 120)},
        }
        with pytest.raises(Permanent, match="metrics") as caught:
            MetricsServer(registry, **where[place])
    assert "\n" not in str(caught.value)
    assert (tmp_path / "file").read_text() == "a user's"
