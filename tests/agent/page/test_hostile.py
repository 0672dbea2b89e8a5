"""Hostile and slow clients: they get one line, and cost bounded memory and descriptors."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import suppress

import pytest

from tests.agent.page.conftest import Line
from tests.support.page import Client

MANY = 1100


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/static/../__main__.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/app.js%00.html",
        "/translations/..%2f..%2foptions.py",
        "/api/alarms/..%2f..%2fstate/images/frame",
        "/api/cameras/..%2fx/live",
    ],
)
def test_no_path_leads_out_of_the_page(line: Line, path: str) -> None:
    answer = line.page.client("vera").get(path)
    assert answer.status in (400, 404, 409)
    assert b"root:" not in answer.body


def test_change_without_the_token_or_with_another_is_rejected(line: Line) -> None:
    client, other = line.page.client("otto"), line.page.client("otto")
    assert client.post("/api/cameras/line1/pause", X_CSRF_Token="").status == 403
    assert client.post("/api/cameras/line1/pause", X_CSRF_Token=other.csrf or "").status == 403


def test_change_from_another_site_is_rejected(line: Line) -> None:
    client = line.page.client("otto")
    assert client.post("/api/cameras/line1/pause", Origin="http://evil.example").status == 403
    assert client.post("/api/cameras/line1/pause", Sec_Fetch_Site="cross-site").status == 403
    assert client.get("/api/session", Host="evil.example").status == 421


def test_form_of_another_site_is_no_request(line: Line) -> None:
    """A form can send text/plain without asking the browser first."""
    answer = line.page.client().post("/api/login", {"name": "vera"}, Content_Type="text/plain")
    assert answer.status == 415


@pytest.mark.parametrize("body", [b"[]", b"{", b"1", b"\xff", b'{"name": 1, "password": 2}', b"[" * 10_000])
def test_body_that_is_no_request_is_rejected(line: Line, body: bytes) -> None:
    answer = line.page.client().send("POST", "/api/login", body, Content_Type="application/json")
    assert answer.status == 400
    assert "error" in answer.document


def test_long_body_is_rejected_whether_its_length_is_known_or_not(line: Line) -> None:
    client = line.page.client()
    assert client.send("POST", "/api/login", b"x" * 20_000, Content_Type="application/json").status == 413
    with socket.create_connection(("127.0.0.1", line.page.port), 10) as raw:
        send(
            raw,
            b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + b"4000\r\n" + b"x" * 0x4000 + b"\r\n4000\r\n" + b"x" * 0x4000,
        )
        assert b" 413 " in raw.recv(200)


def test_endless_headers_are_cut(line: Line) -> None:
    with socket.create_connection(("127.0.0.1", line.page.port), 10) as raw:
        send(raw, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
        assert b" 400 " in raw.recv(200)


def send(raw: socket.socket, request: bytes) -> None:
    """The page may answer and close before it has taken all of it; its answer can still be read."""
    with suppress(ConnectionError):
        raw.sendall(request)


def test_many_slow_connections_leave_the_page_and_the_agent_in_service(line: Line) -> None:
    """As 1,100 of them once stopped the metrics; each sends half a request and waits."""
    before, slow = line.page.memory_bytes(), []
    # Descriptors of the test, not of the page.
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, max(allowed, 2 * MANY)), most))
    try:
        for _ in range(MANY):
            raw = socket.create_connection(("127.0.0.1", line.page.port), 10)
            raw.sendall(b"GET / HTTP/1.1\r\nHost: local")
            slow.append(raw)
            if len(slow) % 100 == 0:
                began = time.monotonic()
                assert Client(line.page.port).get("/").status == 200
                assert time.monotonic() - began < 10.0
        assert line.page.descriptors() < 400
        assert line.page.client("vera").get("/api/cameras/line1/live?side=480").status == 200
    finally:
        for raw in slow:
            raw.close()
    assert line.page.memory_bytes() - before < 40 * 2**20
