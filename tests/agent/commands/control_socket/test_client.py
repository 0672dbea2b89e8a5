"""`ask`: a command to a running agent, its result or its reason."""

from __future__ import annotations

import getpass
import os
import socket
import threading
from pathlib import Path

import pytest

from agent.core.errors import Permanent, Temporary
from agent.core.sockets.control_client import ask, login_name
from agent.service import Service


def test_ask_returns_the_result(service: Service) -> None:
    result = ask(service.settings.socket_path, "recalibrate", "line1", frames=50_000, dry_run=True)
    assert (result["frames"], result["dry_run"]) == (50_000, True)
    plan = service.lines["line1"].station.plan
    assert plan.frames == 60, "the settings stay as they are"
    assert ask(service.settings.socket_path, "recalibrate", "line1", cancel=True) == {"cancelled": True}


@pytest.mark.parametrize(
    ("command", "camera", "request_", "error"),
    [
        ("status", "line9", {}, "unknown camera 'line9'; wanted one of line1"),
        ("launch", None, {}, "unknown command 'launch'"),
        ("recalibrate", None, {"frames": 3}, "command recalibrate: frames"),
        ("recalibrate", None, {"frames": "many"}, "command recalibrate: frames"),
        ("calibration/show", None, {"of": "../../etc/passwd"}, "etc/passwd"),
    ],
)
def test_rejected_command_is_one_line(
    service: Service, command: str, camera: str | None, request_: dict[str, object], error: str
) -> None:
    with pytest.raises(Permanent, match=error) as caught:
        ask(service.settings.socket_path, command, camera, **request_)
    assert "\n" not in str(caught.value)


def test_agent_that_does_not_run_is_temporary(tmp_path: Path) -> None:
    with pytest.raises(Temporary, match=r"no agent answers at .*; is it running\?"):
        ask(tmp_path / "control.sock", "status")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "it closed the connection without a response"),
        (b"HTTP/1.1 400 Bad Request\r\n", "got b'HTTP/1.1 400 Bad Request.*', wanted a response of inspectd"),
        (b"[]\n", "wanted a response of inspectd"),
        (b'{"ok": false}\n', "wanted a response of inspectd"),
        (b'{"ok": true, "result": 3}\n', "wanted a response of inspectd"),
        (b"[" * 100_000 + b"\n", "wanted a response of inspectd"),
    ],
    ids=["nothing", "another protocol", "list", "no reason", "no result", "deep"],
)
def test_another_program_at_the_socket_is_one_line(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def respond() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(line)

        threading.Thread(target=respond, daemon=True).start()
        with pytest.raises(Temporary, match=f"no agent answers at .* \\(.*{reason}\\); is it running") as caught:
            ask(path, "status")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_user_without_an_entry_is_named_by_number(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """As in a container that runs as a number; Python raises the second one from 3.13 on."""

    def unknown() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", unknown)
    assert login_name() == f"uid {os.getuid()}"


def test_user_is_recorded_as_the_sender(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="agent.commands"):
        ask(service.settings.socket_path, "resume")
    assert f"command resume by {getpass.getuser()} done" in caplog.messages
