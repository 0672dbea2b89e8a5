"""Sessions of people who have logged in: in memory, so that a restart of the page ends them."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from agent.core.roles import Role

# A session has 300 bytes; no plant has so many people in front of one device.
MAX_SESSIONS = 500


@dataclass(slots=True)
class Session:
    """One login."""

    person: str
    role: Role
    csrf: str
    """Sent back with every change, in a header that no other site can set."""
    password_hash: str
    """Of the account at the login: a session ends when the password is changed."""
    started: float
    """Monotonic seconds."""
    active: float
    """Monotonic seconds of the last thing that the person did."""


class Sessions:
    """Made by a login, and gone after a logout, after idle time, or after their longest time."""

    def __init__(
        self, *, idle_seconds: float, longest_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`idle_seconds`: without anything that the person did; `longest_seconds`: from the login on."""
        self._idle = idle_seconds
        self._longest = longest_seconds
        self._clock = clock
        self._known: dict[bytes, Session] = {}

    def begin(self, person: str, role: Role, password_hash: str) -> tuple[str, Session]:
        """A new session and its token, which only the browser keeps."""
        self._drop_expired()
        while len(self._known) >= MAX_SESSIONS:
            del self._known[min(self._known, key=lambda key: self._known[key].active)]
        token, now = secrets.token_urlsafe(32), self._clock()
        session = Session(person, role, secrets.token_urlsafe(32), password_hash, now, now)
        self._known[_key(token)] = session
        return token, session

    def find(self, token: str | None) -> Session | None:
        """The session of a token; None for an unknown, an ended or an expired one."""
        session = None if token is None else self._known.get(_key(token))
        return session if session is not None and self._alive(session) else None

    def touch(self, session: Session) -> None:
        """The person has done something."""
        session.active = self._clock()

    def end(self, token: str | None) -> None:
        """Log out."""
        if token is not None:
            self._known.pop(_key(token), None)

    def _alive(self, session: Session) -> bool:
        now = self._clock()
        return now - session.active < self._idle and now - session.started < self._longest

    def _drop_expired(self) -> None:
        self._known = {key: session for key, session in self._known.items() if self._alive(session)}


def same_csrf(session: Session, token: str | None) -> bool:
    """Whether a token is the session's."""
    return token is not None and hmac.compare_digest(session.csrf.encode(), token.encode("utf-8", "replace"))


def _key(token: str) -> bytes:
    """A memory dump shows no tokens, and finding one takes no longer for a token that begins right."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
