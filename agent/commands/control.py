"""Executes commands: the same checks and responses for every transport."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from agent.commands.agent import RunningAgent
from agent.commands.audited import changes, state_of
from agent.commands.command import Call, Command
from agent.commands.table import find_command
from agent.core.clock import utc_now
from agent.core.errors import InspectdError, Permanent
from agent.core.expected import error_text, is_expected
from agent.core.printable import printable
from agent.core.roles import Role
from agent.messages import CommandRequest, CommandResponse, InspectRequest, parse_request

log = logging.getLogger(__name__)


def _state(call: Call) -> dict[str, Any]:
    try:
        return state_of(call)
    except InspectdError:
        # The handler rejects the same request with its own reason.
        return {}


def _check_role(command: Command, call: Call, role: Role) -> None:
    least = Role.VIEW if call.request.only_reads else command.least_role
    if role < least:
        raise Permanent(f"this needs the role {least.text}; {call.by} has {role.text}")


# A reason may repeat what the sender sent; the response has all of it.
MAX_LOGGED_REASON = 500


class Control:
    """Checks a command, has it carried out, and always returns a response. Any thread may call."""

    def __init__(self, agent: RunningAgent, now: Callable[[], datetime] = utc_now) -> None:
        """`now`: wall clock, UTC, for the responses."""
        self._agent = agent
        self._now = now

    def execute(
        self, name: str, camera: str | None, payload: bytes, *, by: str, role: Role = Role.ENGINEER
    ) -> CommandResponse:
        """Carry out a command. The response says whether it was done and, if not, why.

        Args:
            name: of the command.
            camera: its name; None for a command to the agent, or to its only camera.
            payload: the request as JSON; empty for the defaults.
            by: who sent it, for the records.
            role: what the sender may do.
        """
        request: CommandRequest | None = None
        by = printable(by)
        try:
            command = find_command(name)
            request = parse_request(command.request, payload)
            result = self._carry_out(command, Call(self._agent, camera, request, by), role)
        except Exception as error:
            expected, text = is_expected(error), error_text(error)
            level, reason = (logging.INFO, "rejected") if expected else (logging.ERROR, "failed")
            shown = printable(text)[:MAX_LOGGED_REASON]
            log.log(
                level, "command %s %s: %s", ascii(name[:80]), reason, shown, exc_info=not expected, extra={"by": by}
            )
            return self._response(name, camera, request, error=text)
        log.log(
            # A PLC may announce twenty parts a second; each has a result, which is recorded.
            logging.DEBUG if command.reads or name == InspectRequest.command else logging.INFO,
            "command %s by %s done",
            name,
            by,
            extra={"camera": camera, "command": name, "by": by},
        )
        return self._response(name, camera, request, result=result)

    def _carry_out(self, command: Command, call: Call, role: Role) -> dict[str, Any]:
        """Run the handler; the audit log gets an entry with what was asked for, by whom, and what has changed."""
        if command.reads or not command.audited or call.request.only_reads:
            _check_role(command, call, role)
            return command.handler(call)
        before = _state(call)
        try:
            _check_role(command, call, role)
            result = command.handler(call)
        except Exception as error:
            self._audit(call, error=error_text(error))
            raise
        self._audit(call, changed=changes(before, _state(call)))
        return result

    def _audit(self, call: Call, *, error: str | None = None, changed: dict[str, Any] | None = None) -> None:
        """A full disk costs the entry, not the command: a line must not stand still for it."""
        asked = call.request.model_dump(mode="json", exclude={"schema_id", "id"}, exclude_none=True)
        command = call.request.command
        try:
            self._agent.audit.add(command, by=call.by, camera=call.camera, request=asked, error=error, changed=changed)
        except InspectdError as problem:
            log.warning("%s", problem)

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
