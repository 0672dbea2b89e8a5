"""A socket that reads ahead returns what has arrived, in order."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from agent.mqtt.read_ahead import READ_BYTES, ReadAhead


@pytest.fixture
def pair() -> Iterator[tuple[ReadAhead, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ReadAhead(ours), theirs


def test_bytes_are_returned_in_order_and_those_read_ahead_are_pending(
    pair: tuple[ReadAhead, socket.socket],
) -> None:
    ahead, theirs = pair
    theirs.sendall(b"0123456789")
    assert ahead.pending() == 0
    assert ahead.recv(1) == b"0"
    assert ahead.pending() == 9
    theirs.sendall(b"abc")
    assert ahead.recv(100) == b"123456789"
    assert ahead.recv(2) == b"ab"
    assert ahead.pending() == 1


def test_an_empty_socket_and_the_end_are_reported_as_by_the_socket(pair: tuple[ReadAhead, socket.socket]) -> None:
    ahead, theirs = pair
    with pytest.raises(BlockingIOError):
        ahead.recv(1)
    theirs.sendall(b"x")
    theirs.close()
    assert [ahead.recv(5), ahead.recv(5), ahead.recv(5)] == [b"x", b"", b""]


def test_more_than_one_read_arrives_complete(pair: tuple[ReadAhead, socket.socket]) -> None:
    ahead, theirs = pair
    sent = bytes(range(256)) * (READ_BYTES // 100)
    theirs.sendall(sent)
    got = b""
    while len(got) < len(sent):
        got += ahead.recv(len(sent) - len(got))
    assert got == sent
