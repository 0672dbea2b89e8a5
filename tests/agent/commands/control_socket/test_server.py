"""The control socket of a running agent: one JSON line in, one out, whatever a client sends."""

from __future__ import annotations

import contextlib
import json
import socket
import stat
import threading
from pathlib import Path

import pytest

from agent.commands.command import Call, Command
from agent.commands.control_socket.server import MAX_LINE_BYTES, ControlSocket
from agent.commands.table import AGENT_COMMANDS
from agent.core.errors import Permanent
from agent.core.sockets.bounded_server import MAX_CLIENTS
from agent.core.sockets.control_client import ask
from agent.messages import ResumeRequest
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
    [
        b"\n",
        b"{}\n",
        b"[1]\n",
        b"7\n",
        b"null\n",
        b"not json\n",
        b'{"command": 3, "request": []}\n',
        b'{"command": ["status"]}\n',
        b'{"command": {"status": 1}}\n',
        b'{"command": null}\n',
        b'{"command": "status", "camera": ["line1"]}\n',
        b'{"command": "status", "camera": 1e400}\n',
        b'{"command": "status", "by": {"a": 1}}\n',
        b'{"command": "status", "by": null}\n',
        b'{"command": "status", "request": [1]}\n',
        b'{"command": "status", "request": "x"}\n',
        b'{"command": "recalibrate", "request": {"frames": 1e400}}\n',
        b'{"command": "recalibrate", "request": {"frames": NaN}}\n',
        b'{"command": "recalibrate", "request": {"frames": ' + b"9" * 5_000 + b"}}\n",
        b'{"command": "recalibrate", "request": ' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}\n",
        b'{"command": "\\ud800"}\n',
        b'{"command": "status", "camera": "\\udcff"}\n',
        b'{"command": "' + b"x" * 40_000 + b'"}\n',
        b'{"command": "' + b"x" * 30_000 + b'"}\n',
        b"[" * 30_000 + b"\n",
        b"\xff\n",
        b"\0" * 10_000 + b"\n",
    ],
    ids=lambda line: ascii(line[:50]),
)
def test_malformed_line_gets_an_error_and_the_next_one_a_result(path: Path, line: bytes) -> None:
    response = json.loads(exchange(path, line))
    assert response["ok"] is False
    assert response["error"]
    assert "\n" not in response["error"]
    assert "bug" not in response["error"]
    assert ask(path, "status")["site"] == "plant"


@pytest.mark.parametrize("ending", [b"\n", b""], ids=["complete", "without an end"])
@pytest.mark.parametrize("size", [MAX_LINE_BYTES + 1, 4 * 2**20])
def test_line_that_is_too_long_gets_an_answer_then_the_connection_ends(path: Path, size: int, ending: bytes) -> None:
    """Closed with bytes unread, the connection would be reset while the client still sends."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10.0)
        client.connect(str(path))
        client.sendall(b"x" * size + ending)
        response, more = client.makefile("rb").readlines(), client.recv(1)
    assert [json.loads(line) for line in response] == [
        {"ok": False, "error": "got a line of more than 32768 bytes, wanted a line of JSON with a command"}
    ]
    assert more == b""
    assert ask(path, "status")["site"] == "plant"


def test_longest_line_is_a_command(path: Path) -> None:
    message = b'{"command": "status", "by": "'
    line = message + b"x" * (MAX_LINE_BYTES - len(message) - 2) + b'"}\n'
    assert json.loads(exchange(path, line))["ok"] is True


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


@pytest.mark.parametrize(
    "by", ["a\nERROR forged", "a\rforged", "\x1b[2Jforged", "a\u2028forged", "a\u202eforged", "\udcff"]
)
def test_sender_cannot_forge_a_log_line(path: Path, caplog: pytest.LogCaptureFixture, by: str) -> None:
    with caplog.at_level("INFO", logger="agent.commands"):
        exchange(path, json.dumps({"command": "resume", "by": by}).encode() + b"\n")
        exchange(path, json.dumps({"command": f"no\n{by}", "camera": by, "by": by}).encode() + b"\n")
    assert all(message.isprintable() for message in caplog.messages)
    assert all(str(getattr(record, "by", "")).isprintable() for record in caplog.records)


def test_handler_gets_a_sender_without_control_characters(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback records it, and `calibration list` prints it on a terminal."""
    seen: list[str] = []

    def keep(call: Call) -> dict[str, object]:
        seen.append(call.by)
        return {}

    monkeypatch.setitem(AGENT_COMMANDS, "resume", Command(ResumeRequest, keep))
    exchange(path, b'{"command": "resume", "by": "\\u001b]0;owned\\u0007"}\n')
    exchange(path, json.dumps({"command": "resume", "by": "x" * 10_000}).encode() + b"\n")
    assert seen == ["\\x1b]0;owned\\x07", "x" * 100]


def test_status_is_answered_while_others_hold_connections(path: Path) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(100):
            client = held.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
            client.sendall(b'{"command"')
        assert ask(path, "status")["site"] == "plant"
        threads = sum("process_request_thread" in thread.name for thread in threading.enumerate())
        assert threads <= 2 * MAX_CLIENTS
