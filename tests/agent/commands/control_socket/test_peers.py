"""Roles at the control socket: by the user at its other end, as the kernel knows it."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.commands import ask
from engines.bundles.bundle import Bundle
from tests.support.agent_settings import settings_text
from tests.support.agents import GOOD_PARTS, await_state, is_armed, running_service

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to connect as other users")

ROLES = 'socket_roles = { nobody = "operate", "@daemon" = "view" }\n'

CLIENT = """
import json, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(sys.argv[2].encode() + b"\\n")
print(client.makefile().readline())
"""


@pytest.fixture(scope="module")
def control(tiny_bundle: Bundle) -> Iterator[Path]:
    """The control socket of an agent, which every user may connect to."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        directory = Path(name)
        directory.chmod(0o755)
        config = directory / "inspectd.toml"
        socket = directory / "control.sock"
        head = f'control_socket = "{socket}"\n{ROLES}'
        config.write_text(head + settings_text(tiny_bundle.path, GOOD_PARTS))
        with running_service(config):
            await_state(socket, is_armed)
            socket.chmod(0o666)
            yield socket


def send(control: Path, user: str, command: str, **request: Any) -> Any:
    """The response to a user who calls itself `anna`."""
    line = json.dumps({"command": command, "by": "anna", "request": request})
    account = pwd.getpwnam(user)
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    done = subprocess.run(
        [python, "-c", CLIENT, str(control), line],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        capture_output=True,
        check=True,
        timeout=30,
        cwd="/",
    )
    return json.loads(done.stdout)


def test_user_does_what_its_role_allows_under_its_own_name(control: Path) -> None:
    assert send(control, "nobody", "pause")["ok"]
    assert send(control, "nobody", "resume")["ok"]
    entry = ask(control, "audit/list", limit=1)["entries"][0]
    assert (entry["action"], entry["by"]) == ("resume", "nobody (as anna)")


def test_command_beyond_the_role_is_rejected_and_noted(control: Path) -> None:
    answer = send(control, "nobody", "recalibrate", frames=100)
    assert answer["error"].endswith("this needs the role engineer; nobody (as anna) has operate")
    entry = ask(control, "audit/list", limit=1)["entries"][0]
    assert (entry["action"], entry["ok"]) == ("recalibrate", False)


def test_role_of_a_group_counts(control: Path) -> None:
    assert send(control, "daemon", "status")["ok"]
    assert "needs the role operate" in send(control, "daemon", "pause")["error"]
    assert "needs the role engineer" in send(control, "daemon", "audit/list")["error"]


def test_user_without_a_role_is_rejected(control: Path) -> None:
    assert send(control, "games", "status")["error"].startswith("user games has no role")


def test_root_and_the_user_of_the_agent_may_do_everything(control: Path) -> None:
    assert ask(control, "pause")["phase"] == "paused"
    assert ask(control, "resume")["phase"] == "armed"
