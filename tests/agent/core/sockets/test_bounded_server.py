"""A server with clients that send slowly, send nothing, read nothing, or come in great numbers."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.sockets.bounded_server import MAX_CLIENTS, BoundedServer
from tests.support.broker import wait_until


class _Echo(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        line = self.rfile.readline()
        if not self.server.request_read(self.request):
            return
        if line == b"work\n":
            self.server.working.release()
            self.server.go_on.wait(30.0)
        if self.server.response_ready(self.request):
            self.wfile.write(line)


class _Server(BoundedServer, socketserver.UnixStreamServer):
    working = threading.Semaphore(0)
    go_on = threading.Event()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[_Server]:
    made = _Server(str(tmp_path / "socket"), _Echo, request_seconds=60.0)
    made.working, made.go_on = threading.Semaphore(0), threading.Event()
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.go_on.set()
    made.shutdown()
    made.server_close()


def connect(server: _Server) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(server.server_address))
    client.settimeout(10.0)
    return client


def echoed(server: _Server, line: bytes = b"hello\n") -> bytes:
    with connect(server) as client:
        client.sendall(line)
        return client.makefile("rb").readline()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def client_threads() -> int:
    return sum("process_request_thread" in thread.name for thread in threading.enumerate())


def test_client_is_served_while_hundreds_hold_connections(server: _Server) -> None:
    before = descriptors()
    with contextlib.ExitStack() as held:
        for index in range(300):
            held.enter_context(connect(server)).sendall(b"h")
            if index % 50 == 0:
                assert echoed(server) == b"hello\n"
        assert echoed(server) == b"hello\n"
        wait_until(lambda: client_threads() <= MAX_CLIENTS, what="no more threads than clients")
        # 300 are this test's own.
        wait_until(lambda: descriptors() <= before + 300 + MAX_CLIENTS, what="a descriptor for each client")


def test_client_that_sends_a_byte_now_and_then_has_a_limit_on_its_whole_request(tmp_path: Path) -> None:
    server = _Server(str(tmp_path / "socket"), _Echo, request_seconds=0.3)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    begin = time.monotonic()
    with connect(server) as client, contextlib.suppress(OSError):
        while time.monotonic() < begin + 20.0:
            client.sendall(b"x")
            time.sleep(0.05)
    assert time.monotonic() < begin + 10.0
    wait_until(lambda: client_threads() == 0, what="the thread ends")
    server.shutdown()
    server.server_close()


def test_request_that_is_carried_out_is_neither_disconnected_nor_joined_by_more_than_the_limit(server: _Server) -> None:
    with contextlib.ExitStack() as held:
        working = [held.enter_context(connect(server)) for _ in range(MAX_CLIENTS)]
        for client in working:
            client.sendall(b"work\n")
            assert server.working.acquire(timeout=60)
        with connect(server) as late, contextlib.suppress(ConnectionError):
            assert late.makefile("rb").readline() == b"", "disconnected at once"
        server.go_on.set()
        assert [client.makefile("rb").readline() for client in working] == [b"work\n"] * MAX_CLIENTS
    assert echoed(server) == b"hello\n"


def test_client_that_sends_on_after_its_response_gets_it_and_is_disconnected(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.sockets.bounded_server.LINGER_SECONDS", 0.2)
    with connect(server) as client, contextlib.suppress(OSError):
        client.sendall(b"hello\n" + b"x" * 2**22)
        assert client.makefile("rb").read() == b"hello\n"
        while True:
            client.sendall(b"x" * 1000)
    wait_until(lambda: client_threads() == 0, what="the client is disconnected")


def test_clients_that_never_close_make_room(server: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.core.sockets.bounded_server.LINGER_SECONDS", 60.0)
    with contextlib.ExitStack() as held:
        for _ in range(2 * MAX_CLIENTS):
            client = held.enter_context(connect(server))
            client.sendall(b"hello\n")
            assert client.makefile("rb").read() == b"hello\n"


def test_client_that_does_not_read_its_response_is_disconnected(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.core.sockets.bounded_server.RESPONSE_SECONDS", 0.2)
    with connect(server) as client:
        line = b"x" * 2**22 + b"\n"
        threading.Thread(target=lambda: contextlib.suppress(OSError) and client.sendall(line), daemon=True).start()
        wait_until(lambda: client_threads() == 1, what="the client is served")
        wait_until(lambda: client_threads() == 0, what="the client is disconnected")
    assert echoed(server) == b"hello\n"
