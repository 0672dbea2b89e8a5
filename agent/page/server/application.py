"""The page as an ASGI application: its routes, behind the guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from agent.page.api import ROUTES
from agent.page.link.control import AgentLink
from agent.page.link.logins import LoginNotes
from agent.page.options import PageOptions
from agent.page.security.guard import Guard
from agent.page.server.files import PageFiles
from agent.page.server.state import Access, PageState


def build_application(options: PageOptions) -> Starlette:
    """The application for one agent."""
    link = AgentLink(options.control_socket)
    application = guarded(Access.of(options, LoginNotes(link)), ROUTES, PageFiles())
    application.state.page = PageState.of(options, link)
    return application


def guarded(access: Access, routes: Sequence[Route], files: PageFiles, **more: Any) -> Starlette:
    """An application with these routes and files; `more` goes to Starlette."""
    application = Starlette(
        routes=[*routes, Route("/{path:path}", files.respond)],
        middleware=[Middleware(Guard, names=access.options.names)],
        **more,
    )
    application.state.access = access
    return application
