"""The page as an ASGI application: its routes, behind the guard."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from agent.page.api import ROUTES
from agent.page.link.control import AgentLink
from agent.page.link.feed import Feed
from agent.page.link.images import LiveImages
from agent.page.link.logins import LoginNotes
from agent.page.options import PageOptions
from agent.page.security.accounts import Accounts
from agent.page.security.guard import Guard
from agent.page.security.sessions import Sessions
from agent.page.server.files import PageFiles
from agent.page.server.state import PageState


def build_application(options: PageOptions) -> Starlette:
    """The application for one agent."""
    files = PageFiles()
    routes = [*ROUTES, Route("/{path:path}", files.respond)]
    application = Starlette(routes=routes, middleware=[Middleware(Guard, names=options.names)])
    link = AgentLink(options.control_socket)
    application.state.page = PageState(
        options,
        Accounts(_accounts_path(options)),
        Sessions(idle_seconds=options.idle_seconds, longest_seconds=options.session_seconds),
        link,
        Feed(link),
        LiveImages(link),
        LoginNotes(link),
    )
    return application


def _accounts_path(options: PageOptions) -> Path:
    """The credential of the service, where it has one."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    credential = None if directory is None else Path(directory) / "page-accounts"
    return credential if credential is not None and credential.is_file() else Path(options.accounts_file)
