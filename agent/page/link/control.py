"""The agent's control socket, asked without blocking: the only way from the page to the agent."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from agent.core.errors import Temporary
from agent.core.sockets.response import result_of

# The agent serves eight clients at a time; the page leaves most of them to others.
_AT_ONCE = 2

# A frame of 12 megapixels is 6 MB as JPEG, and 8 MB as base64.
_MAX_ANSWER_BYTES = 64 * 2**20

# Longer than the agent's own wait for a busy inspection thread.
_TIMEOUT_SECONDS = 20.0

# A model may have to be built for this device: minutes.
LOADING_SECONDS = 300.0

# Commands that return images: slow, many, and no reason for others to wait.
_IMAGES = ("live", "alarms/image", "view", "review/image")


class AgentLink:
    """Sends commands to one agent."""

    def __init__(self, path: str) -> None:
        """`path` of the control socket."""
        self._path = path
        self._images = asyncio.Semaphore(_AT_ONCE)
        self._others = asyncio.Semaphore(_AT_ONCE)

    async def ask(
        self,
        command: str,
        camera: str | None = None,
        *,
        sender: str = "page",
        timeout_seconds: float = _TIMEOUT_SECONDS,
        **request: Any,
    ) -> dict[str, Any]:
        """Send a command with the fields of its request, and return its result; `sender` is for the agent's records.

        Raises Temporary where no agent answers, Permanent, with the agent's reason, where it rejects the command.
        """
        message = {"command": command, "camera": camera, "by": sender, "request": request}
        async with self._images if command in _IMAGES else self._others:
            try:
                line = await asyncio.wait_for(self._exchange(json.dumps(message).encode() + b"\n"), timeout_seconds)
                return result_of(line)
            except (OSError, ValueError, asyncio.TimeoutError, EOFError) as error:
                raise Temporary(f"the agent does not answer ({type(error).__name__}); is it running?") from None

    async def _exchange(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=_MAX_ANSWER_BYTES)
        try:
            writer.write(line)
            await writer.drain()
            return await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise ValueError("answer too long") from None
        finally:
            writer.close()
