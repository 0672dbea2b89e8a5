"""The control socket of a running agent: one JSON line in, one out, whatever a client sends."""

from __future__ import annotations

import json
import socket
import stat
from pathlib import Path

import pytest

from agent.commands.socket_client import ask
from agent.commands.socket_server import ControlSocket
from agent.core.errors import Permanent
from agent.service import Service


@pytest.fixture
def path(service: Service) -> Path:
    return service.settings.socket_path


def exchange(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10.0)
        client.connect(str(path))
        client.sendall(line)
        return client.makefile("rb").readline()


def test_socket_is_open_to_owner_and_group_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{}\n", b"[1]\n", b"not json\n", b'{"command": 3, "request": []}\n', b"[" * 30_000 + b"\n", b"\xff\n"],
)
def test_malformed_line_gets_an_error_and_the_next_one_a_result(path: Path, line: bytes) -> None:
    response = json.loads(exchange(path, line))
    assert response["ok"] is False
    assert response["error"]
    assert ask(path, "status")["site"] == "plant"


def test_client_that_disconnects_early_harms_nobody(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b'{"command": "status"}\n')
    assert ask(path, "status")["site"] == "plant"


def test_second_agent_at_the_same_path_is_rejected(service: Service, path: Path) -> None:
    with pytest.raises(Permanent, match="another process listens there"):
        ControlSocket(path, service.control)
    assert ask(path, "status")["site"] == "plant"


def test_file_of_a_killed_agent_is_replaced_and_removed_at_the_end(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    server = ControlSocket(path, service.control)
    assert ask(path, "status")["site"] == "plant"
    server.close()
    assert not path.exists()


def test_path_that_is_too_long_is_one_line(service: Service, tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="longer than 107 bytes; set control_socket to a shorter path"):
        ControlSocket(tmp_path / ("x" * 120), service.control)
