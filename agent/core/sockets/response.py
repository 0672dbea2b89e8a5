"""The response of an agent on its control socket, as clients read it."""

from __future__ import annotations

import json
from typing import Any

from agent.core.errors import Permanent


def result_of(line: bytes) -> dict[str, Any]:
    """The result that a line of the control socket carries.

    Raises Permanent with the agent's reason where it rejected the command, and ValueError where the line is no
    response: the agent closed the connection, or another program listens at the socket.
    """
    if not line:
        raise ValueError("it closed the connection without a response")
    try:
        response = json.loads(line)
    except (ValueError, RecursionError):
        response = None
    if isinstance(response, dict) and response.get("ok") is False and isinstance(response.get("error"), str):
        raise Permanent(response["error"])
    if not isinstance(response, dict) or response.get("ok") is not True or not isinstance(response.get("result"), dict):
        raise ValueError(f"got {line[:80]!r}, wanted a response of inspectd")
    return dict(response["result"])
