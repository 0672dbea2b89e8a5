"""How a connection behaves towards brokers that do what Mosquitto does not do when asked: scripted bytes, real TCP."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.broker import Broker
from agent.connection import Connection, ConnectionLost, Protocol, UnsupportedVersion
from agent.mqtt.link import Link
from agent.packets import Acknowledged, Connected, Outgoing, Received
from tests.broker import Mosquitto, wait_until
from tests.certificates import OPENSSL, Authority

CONNACK = bytes.fromhex("2003000000")


@contextmanager
def peer(play: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port; `play` gets the first connection to it, which is closed afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                play(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@contextmanager
def connected(port: int, **options: int) -> Iterator[Connection]:
    connection = Connection(Broker(f"mqtt://127.0.0.1:{port}", **options), client_id="agent")
    connection.open()
    try:
        yield connection
    finally:
        connection.close()


def until_lost(connection: Connection, events: list[object] | None = None) -> ConnectionLost | UnsupportedVersion:
    """Takes turns until the connection is gone; `events` gets what happened before."""
    end = time.monotonic() + 10.0
    try:
        while time.monotonic() < end:
            happened = connection.turn(0.05)
            if events is not None:
                events += happened
    except (ConnectionLost, UnsupportedVersion) as lost:
        return lost
    raise AssertionError("the connection stands")


def until_closed(connection: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def test_reason_that_the_broker_gives_for_the_end_is_told() -> None:
    with (
        peer(lambda connection: connection.sendall(CONNACK + bytes.fromhex("e0018e"))) as port,
        connected(port) as ours,
    ):
        lost = until_lost(ours)
    assert "Session taken over" in str(lost)
    assert isinstance(lost, ConnectionLost)
    assert lost.explained
    assert lost.closed_by_broker


def test_broker_that_falls_silent_is_asked_and_then_given_up() -> None:
    """A second of keep-alive, as the broker wants it: CONNACK with Server Keep Alive 1."""
    received: list[bytes] = []

    def fall_silent(connection: socket.socket) -> None:
        connection.sendall(bytes.fromhex("2006000003130001"))
        received.append(until_closed(connection))

    with peer(fall_silent) as port:
        begun = time.monotonic()
        with connected(port, keepalive_seconds=60) as ours:
            lost = until_lost(ours)
        took = time.monotonic() - begun
    assert "no sign of life" in str(lost)
    assert isinstance(lost, ConnectionLost)
    assert not lost.closed_by_broker
    assert 1.9 < took < 5.0
    assert received[0].count(b"\xc0\x00") == 1


def test_broker_that_answers_pings_is_kept() -> None:
    def answer_pings(connection: socket.socket) -> None:
        connection.sendall(bytes.fromhex("2006000003130001"))
        while data := connection.recv(65536):
            if data == b"\xc0\x00":
                connection.sendall(b"\xd0\x00")

    with peer(answer_pings) as port, connected(port) as ours:
        end = time.monotonic() + 3.5
        while time.monotonic() < end:
            ours.turn(0.1)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "closed the connection"),
        (bytes.fromhex("40020001"), "before CONNACK"),
        (CONNACK + bytes.fromhex("32ffffffff7f"), "no MQTT"),
        (CONNACK + bytes.fromhex("34060001740001007a"), "QoS 2"),
        (b"", "closed the connection"),
        (bytes.fromhex("20020005"), "Not authorized"),
    ],
)
def test_broker_that_is_none_is_one_clear_line(sent: bytes, said: str) -> None:
    with peer(lambda connection: connection.sendall(sent)) as port, connected(port) as ours:
        assert said in str(until_lost(ours))


@pytest.mark.parametrize("connack", ["20020001", "2003008400"])
def test_broker_of_another_version_says_so(connack: str) -> None:
    """In the codes of MQTT 3.1.1 or in those of MQTT 5."""
    with peer(lambda connection: connection.sendall(bytes.fromhex(connack))) as port, connected(port) as ours:
        assert isinstance(until_lost(ours), UnsupportedVersion)


def test_what_came_before_the_end_is_handed_over_first() -> None:
    sent = CONNACK + bytes.fromhex("400200014003000297e0008e"[:-2])
    with peer(lambda connection: connection.sendall(sent)) as port, connected(port) as ours:
        events: list[object] = []
        until_lost(ours, events)
    assert [(e.mid, e.code) for e in events if isinstance(e, Acknowledged)] == [(1, 0), (2, 0x97)]


def test_packet_id_that_waits_for_its_answer_is_given_to_no_other_packet() -> None:
    """All around the 65,535 ids; the broker answers to none of them."""

    def read_all(connection: socket.socket) -> None:
        connection.sendall(CONNACK)
        until_closed(connection)

    with peer(read_all) as port, connected(port) as ours:
        wait_until(lambda: any(isinstance(event, Connected) for event in ours.turn(0.05)))
        first = [ours.publish(Outgoing("t", b"")) for _ in range(3)]
        ours.turn(0.0)
        rest = {ours.publish(Outgoing("t", b"")) for _ in range(65_535 - 3)}
    assert first == [1, 2, 3]
    assert rest == set(range(4, 65_536))


def test_slow_reader_gets_every_byte_in_order() -> None:
    """A kernel that takes a little at a time: parts of many sizes, cut anywhere."""
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    link, parts = Link(left), [bytes([n % 251]) * (n * n % 5000) for n in range(300)]
    link.send(*parts)
    received = b""
    while link.has_unsent:
        link.flush()
        received += right.recv(3000)
    right.setblocking(False)
    while len(received) < sum(map(len, parts)):
        received += right.recv(1 << 20)
    assert received == b"".join(parts)
    link.close()
    right.close()


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
@pytest.mark.parametrize("protocol", list(Protocol))
def test_large_messages_cross_tls_both_ways_byte_for_byte(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, protocol: Protocol
) -> None:
    """Records of 16 KiB, sockets that take a part of one, and small packets between large ones."""
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("server")
    lines = [f"cafile {authority.certificate}", f"certfile {certificate}", f"keyfile {key}"]
    broker = mosquitto(lines=lines)
    options = Broker(f"mqtts://127.0.0.1:{broker.port}", ca_file=authority.certificate)
    connection = Connection(options, client_id="both-ways", protocol=protocol)
    connection.open()
    sizes = [0, 1, 20_000, 16_384, 5, 3_000_000, 7, 100, 700_000]
    sent = [hashlib.shake_128(bytes([n])).digest(size) for n, size in enumerate(sizes)]
    events: list[object] = []
    try:
        wait_until(lambda: events.extend(connection.turn(0.05)) or events)
        connection.subscribe("echo")
        for payload in sent:
            connection.publish(Outgoing("echo", payload, media_type="image/png"))
            events += connection.turn(0.0)
        received = lambda: [event.payload for event in events if isinstance(event, Received)]  # noqa: E731
        wait_until(lambda: events.extend(connection.turn(0.05)) or len(received()) == len(sent), seconds=20)
    finally:
        connection.close()
    assert received() == sent
