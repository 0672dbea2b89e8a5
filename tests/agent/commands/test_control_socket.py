"""The Unix socket: one JSON line in, one out, whatever comes."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from agent.commands.control import Call, Control
from agent.commands.socket_client import ask
from agent.commands.socket_server import ControlSocket
from agent.core.errors import Permanent, Temporary
from engines.errors import BundleError


def answer(call: Call) -> dict[str, Any]:
    if call.camera == "unknown":
        raise Permanent("camera 'unknown' is not known here")
    if call.camera == "broken":
        raise BundleError("model.onnx: found nothing")
    return {"camera": call.camera, "by": call.by, "frames": getattr(call.request, "frames", None)}


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    control = Control("plant", {"status": answer, "recalibrate": answer}, lambda: datetime.now(timezone.utc))
    opened = ControlSocket(path, control)
    yield path
    opened.close()
    assert not path.exists()


def test_ask_brings_back_the_result(door: Path) -> None:
    result = ask(door, "recalibrate", "line1", frames=200)
    assert result["camera"] == "line1"
    assert result["frames"] == 200
    assert result["by"], "the user's name, for the record"


def test_only_owner_and_group_may_enter(door: Path) -> None:
    assert stat.S_IMODE(door.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    ("command", "request_", "wanted"),
    [
        ("status", {"camera": "unknown"}, "camera 'unknown' is not known here"),
        ("status", {"camera": "broken"}, "model.onnx: found nothing"),
        ("launch", {}, "unknown command"),
        ("pause", {}, "command pause: not known here; wanted one of recalibrate, status"),
        ("recalibrate", {"frames": 3}, "frames"),
        ("recalibrate", {"frames": "many"}, "frames"),
        ("recalibrate", {"color": "red"}, "color"),
    ],
)
def test_a_refused_command_is_one_line(door: Path, command: str, request_: dict[str, Any], wanted: str) -> None:
    with pytest.raises(Permanent, match=wanted) as caught:
        ask(door, command, request_.pop("camera", None), **request_)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{}\n", b"[1]\n", b"not json\n", b'{"command": 3, "request": []}\n', b"[" * 30_000 + b"\n", b"\xff\n"],
)
def test_garbage_gets_an_answer_and_the_door_stays_open(door: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5.0)
        client.connect(str(door))
        client.sendall(line)
        got = json.loads(client.makefile("rb").readline())
    assert got["ok"] is False
    assert got["error"]
    assert ask(door, "status")["camera"] is None


def test_ask_where_nobody_is(tmp_path: Path) -> None:
    with pytest.raises(Temporary, match=r"no agent answers at .*; is it running\?"):
        ask(tmp_path / "nobody.sock", "status")


def test_a_second_agent_at_the_same_door_is_refused(door: Path) -> None:
    with pytest.raises(Permanent, match="another process listens there"):
        ControlSocket(door, Control("plant", {}, lambda: datetime.now(timezone.utc)))


def test_a_door_that_a_killed_agent_left_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    opened = ControlSocket(path, Control("plant", {"status": answer}, lambda: datetime.now(timezone.utc)))
    assert ask(path, "status") is not None
    opened.close()


def test_a_path_that_the_system_cannot_hold_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="longer than 107 bytes; set control_socket to a shorter path"):
        ControlSocket(tmp_path / ("x" * 120), Control("plant", {}, lambda: datetime.now(timezone.utc)))
