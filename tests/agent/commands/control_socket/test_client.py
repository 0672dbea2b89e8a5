"""`ask`: a command to a running agent, its result or its reason."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from agent.commands.control_socket.client import ask
from agent.core.errors import Permanent, Temporary
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


def test_user_is_recorded_as_the_sender(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="agent.commands"):
        ask(service.settings.socket_path, "resume")
    assert f"command resume by {getpass.getuser()} done" in caplog.messages
