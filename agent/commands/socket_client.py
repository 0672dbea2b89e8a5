"""Ask a running agent over its control socket."""

from __future__ import annotations

import getpass
import json
import socket
from pathlib import Path
from typing import Any

from agent.core.errors import Permanent, Temporary


def ask(
    path: Path, command: str, camera: str | None = None, timeout_seconds: float = 10.0, **request: Any
) -> dict[str, Any]:
    """Ask a running agent and return its result.

    Raises:
        Temporary: nobody answers at this socket.
        Permanent: the agent refused; its reason.
    """
    message = {"command": command, "camera": camera, "by": getpass.getuser(), "request": request}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_seconds)
            client.connect(str(path))
            client.sendall(json.dumps(message).encode() + b"\n")
            answer = json.loads(client.makefile("rb").readline())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise Temporary(f"no agent answers at {path} ({reason}); is it running?") from None
    if not answer["ok"]:
        raise Permanent(answer["error"])
    result: dict[str, Any] = answer["result"]
    return result
