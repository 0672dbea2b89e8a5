"""The audit log, for engineers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.roles import Role
from agent.page.server.requests import answer, needs
from agent.page.server.state import state_of

_SHOWN = 300


@needs(Role.ENGINEER)
async def show(request: Request) -> Response:
    """The latest entries, newest first."""
    return answer(await state_of(request).link.ask("audit/list", limit=_SHOWN))


ROUTES = [Route("/api/audit", show)]
