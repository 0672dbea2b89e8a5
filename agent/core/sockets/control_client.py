"""Send a command to a running agent over its control socket."""

from __future__ import annotations

import getpass
import json
import os
import socket
from pathlib import Path
from typing import Any

from agent.core.errors import Temporary
from agent.core.sockets.response import result_of
from agent.core.sockets.unix_socket import connect_unix_socket


def ask(
    path: Path, command: str, camera: str | None = None, timeout_seconds: float = 10.0, **request: Any
) -> dict[str, Any]:
    """Send a command and return its result.

    Args:
        path: the agent's control socket.
        command: its name.
        camera: None for a command to the agent, or to its only camera.
        timeout_seconds: the longest wait for each step of the exchange.
        request: the fields of the request.

    Raises:
        Temporary: no agent answers at this socket.
        Permanent: the agent rejected the command; the text is its reason.
    """
    message = {"command": command, "camera": camera, "by": login_name(), "request": request}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_seconds)
            connect_unix_socket(client, path, timeout_seconds)
            client.sendall(json.dumps(message).encode() + b"\n")
            return result_of(client.makefile("rb").readline())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Temporary(f"no agent answers at {path} ({reason}); is it running?") from None


def login_name() -> str:
    """The login name of the person at this terminal; `uid 1001` where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # KeyError until Python 3.12
        return f"uid {os.getuid()}"
