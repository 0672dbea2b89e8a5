"""Binding a Unix socket: mode, missing folders, stale files, live listeners, long paths."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from agent.core.errors import Permanent
from agent.core.sockets.unix_socket import MAX_SOCKET_PATH_BYTES, bind_unix_socket


@contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as made:
        bind_unix_socket(made, path, name="test socket", setting="test.socket")
        yield made


def rejection(path: Path) -> str:
    with pytest.raises(Permanent) as caught, bound(path):
        pass
    return str(caught.value)


def test_bound_socket_takes_connections_of_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "folder" / "test.sock"
    with bound(path) as server, closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        server.listen()
        client.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_socket_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "test.sock"
    with bound(path) as killed:
        killed.listen()
    assert path.is_socket()
    with bound(path) as server, closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        server.listen()
        client.connect(str(path))


@pytest.mark.parametrize("backlog", ["free", "full"])
def test_path_of_a_live_listener_is_rejected(tmp_path: Path, backlog: str) -> None:
    path = tmp_path / "test.sock"
    with bound(path) as server:
        server.listen(0)
        clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(5 if backlog == "full" else 0)]
        for client in clients:
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(str(path))
        assert rejection(path) == (
            f"test socket {path}: another process listens there; stop it, or set test.socket to another path"
        )
        for client in clients:
            client.close()
        assert path.is_socket()


def test_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    assert rejection(path) == f"test socket {path}: Address already in use; wanted a path in a writable folder"
    assert path.read_text() == "keep me"


def test_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "test.sock"
    assert rejection(path) == f"test socket {path}: File exists; wanted a path in a writable folder"


def test_path_of_the_greatest_length_is_bound_and_a_longer_one_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    longest = Path("x" * MAX_SOCKET_PATH_BYTES)
    with bound(longest):
        assert longest.is_socket()
    longer = Path("é" * (MAX_SOCKET_PATH_BYTES // 2 + 1))
    assert len(str(longer)) < MAX_SOCKET_PATH_BYTES < len(os.fsencode(longer))
    assert rejection(longer) == f"test socket {longer}: longer than 107 bytes; set test.socket to a shorter path"
