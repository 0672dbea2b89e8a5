"""Executes commands: the same checks and responses for every transport."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from agent.commands.agent import RunningAgent
from agent.commands.command import Call
from agent.commands.table import find_command
from agent.core.clock import utc_now
from agent.core.expected import error_text, is_expected
from agent.core.printable import printable
from agent.messages import CommandRequest, CommandResponse, parse_request

log = logging.getLogger(__name__)

# A reason may repeat what the sender sent; the response has all of it.
MAX_LOGGED_REASON = 500


class Control:
    """Checks a command, has it carried out, and always returns a response. Any thread may call."""

    def __init__(self, agent: RunningAgent, now: Callable[[], datetime] = utc_now) -> None:
        """`now`: wall clock, UTC, for the responses."""
        self._agent = agent
        self._now = now

    def execute(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        """Carry out a command. The response says whether it was done and, if not, why.

        Args:
            name: of the command.
            camera: its name; None for a command to the agent, or to its only camera.
            payload: the request as JSON; empty for the defaults.
            by: who sent it, for the records.
        """
        request: CommandRequest | None = None
        by = printable(by)
        try:
            command = find_command(name)
            request = parse_request(command.request, payload)
            result = command.handler(Call(self._agent, camera, request, by))
        except Exception as error:
            expected, text = is_expected(error), error_text(error)
            level, reason = (logging.INFO, "rejected") if expected else (logging.ERROR, "failed")
            shown = printable(text)[:MAX_LOGGED_REASON]
            log.log(
                level, "command %s %s: %s", ascii(name[:80]), reason, shown, exc_info=not expected, extra={"by": by}
            )
            return self._response(name, camera, request, error=text)
        log.log(
            logging.DEBUG if command.reads else logging.INFO,
            "command %s by %s done",
            name,
            by,
            extra={"camera": camera, "command": name, "by": by},
        )
        return self._response(name, camera, request, result=result)

    def _response(
        self,
        name: str,
        camera: str | None,
        request: CommandRequest | None,
        *,
        result: dict[str, Any] | None = None,
        error: str | None = None,
    ) -> CommandResponse:
        return CommandResponse(
            command=name[:200],
            site=self._agent.settings.site,
            camera=camera,
            id=request.id if request else None,
            at=self._now(),
            ok=error is None,
            error=error,
            result=result or {},
        )
