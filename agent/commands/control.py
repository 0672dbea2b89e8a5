"""The one door for commands: the same requests, checks and answers, whoever asks (the command line or MQTT)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.core.errors import Permanent
from agent.core.expected import error_text, is_expected
from agent.messages import CommandRequest, CommandResponse, parse_request

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Call:
    """A command as it comes to the one who carries it out."""

    camera: str | None
    """Name of the camera; None for a command to the agent."""
    request: Any
    """The validated request, of the command's own model."""
    by: str
    """Who asks; goes into records."""


Handler = Callable[[Call], dict[str, Any]]


class Control:
    """Checks a command, has it carried out, and always has an answer."""

    def __init__(self, site: str, handlers: Mapping[str, Handler], now: Callable[[], datetime]) -> None:
        """Args:
        site: for the answers.
        handlers: for each command the function that carries it out; it raises InspectdError to refuse.
        now: wall clock, UTC.
        """
        self._site = site
        self._handlers = handlers
        self._now = now

    def execute(self, name: str, camera: str | None, payload: bytes, *, by: str) -> CommandResponse:
        """Carry out a command; whatever comes, the answer says whether it was done and, if not, why."""
        request: CommandRequest | None = None
        try:
            request = parse_request(name, payload)
            result = self._handler(name)(Call(camera, request, by))
        except Exception as error:
            expected, text = is_expected(error), error_text(error)
            level, reason = (logging.INFO, "rejected") if expected else (logging.ERROR, "failed")
            log.log(level, "command %s %s: %s", ascii(name[:80]), reason, text, exc_info=not expected)
            return self._response(name, camera, request, error=text)
        log.log(
            logging.DEBUG if name == "status" else logging.INFO,
            "command %s by %s done",
            name,
            by,
            extra={"camera": camera, "command": name, "by": by},
        )
        return self._response(name, camera, request, result=result)

    def _handler(self, name: str) -> Handler:
        try:
            return self._handlers[name]
        except KeyError:
            raise Permanent(
                f"command {name}: not known here; wanted one of {', '.join(sorted(self._handlers))}"
            ) from None

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
            site=self._site,
            camera=camera,
            id=request.id if request else None,
            at=self._now(),
            ok=error is None,
            error=error,
            result=result or {},
        )
