"""Notes logins in the agent's audit log; those of a time without an agent follow when it runs again."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from agent.core.errors import Permanent, Temporary
from agent.page.link.control import AgentLink

log = logging.getLogger(__name__)

# More people do not log in while an agent is restarted; a flood of failures must not fill the memory.
MOST_WAITING = 200


class LoginNotes:
    """Sends the notes in their order, one at a time, without delaying a login."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._sending: asyncio.Task[None] | None = None

    def add(self, event: str, person: str, address: str, role: str | None = None) -> None:
        """`event`: login, logout or login failed."""
        self._waiting.append({"event": event, "person": person, "address": address, "role": role})
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            try:
                await self._link.ask("audit/login", **self._waiting[0])
            except Temporary:
                await asyncio.sleep(2.0)
                continue
            except Permanent as error:
                # An older agent has no audit log.
                log.debug("%s", error)
            self._waiting.popleft()
