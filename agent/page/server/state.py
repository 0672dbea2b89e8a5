"""What the handlers of requests share."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request

from agent.page.link.control import AgentLink
from agent.page.link.feed import Feed
from agent.page.link.images import ImageCache, LiveImages
from agent.page.link.logins import LoginNotes
from agent.page.options import PageOptions
from agent.page.security.accounts import Accounts
from agent.page.security.login_limit import LoginLimit
from agent.page.security.sessions import Sessions

COOKIE = "inspectd_session"


@dataclass(slots=True)
class PageState:
    """One page of one agent."""

    options: PageOptions
    accounts: Accounts
    sessions: Sessions
    link: AgentLink
    feed: Feed
    live: LiveImages
    logins: LoginNotes
    limit: LoginLimit = field(default_factory=LoginLimit)
    images: ImageCache = field(default_factory=ImageCache)


def state_of(request: Request) -> PageState:
    """The page that a request is for."""
    state: PageState = request.app.state.page
    return state
