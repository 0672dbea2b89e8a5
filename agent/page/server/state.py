"""What the handlers of requests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from starlette.requests import Request

from agent.core.training_folder import TrainingFolder
from agent.page.link.control import AgentLink
from agent.page.link.feed import Feed
from agent.page.link.images import ImageCache, LiveImages
from agent.page.options import PageOptions, ServerOptions
from agent.page.security.accounts import Accounts, served_accounts
from agent.page.security.login_limit import LoginLimit
from agent.page.security.sessions import Sessions
from agent.page.training import Training, Uploads

COOKIE = "inspectd_session"


class NotesLogins(Protocol):
    """Keeps who has logged in."""

    def add(self, event: str, person: str, address: str, role: str | None = None) -> None:
        """`event`: login, logout or login failed."""


@dataclass(slots=True)
class Access:
    """Who may see a page: what every page has, whatever it shows."""

    options: ServerOptions
    accounts: Accounts
    sessions: Sessions
    logins: NotesLogins
    limit: LoginLimit

    @classmethod
    def of(cls, options: ServerOptions, logins: NotesLogins) -> Access:
        """Without sessions yet."""
        sessions = Sessions(idle_seconds=options.idle_seconds, longest_seconds=options.session_seconds)
        return cls(options, served_accounts(options.accounts_file), sessions, logins, LoginLimit())


@dataclass(slots=True)
class PageState:
    """One page of one agent."""

    options: PageOptions
    link: AgentLink
    feed: Feed
    live: LiveImages
    training: Training
    uploads: Uploads
    images: ImageCache = field(default_factory=ImageCache)

    @classmethod
    def of(cls, options: PageOptions, link: AgentLink) -> PageState:
        """With nothing asked for yet."""
        folder = TrainingFolder(Path(options.training_directory))
        training = Training(folder)
        return cls(options, link, Feed(link, training.state), LiveImages(link), training, Uploads(folder.uploads))


def state_of(request: Request) -> PageState:
    """The page that a request is for."""
    state: PageState = request.app.state.page
    return state


def access_of(request: Request) -> Access:
    """Accounts and sessions of the page that a request is for."""
    access: Access = request.app.state.access
    return access
