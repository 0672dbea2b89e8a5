"""Reads requests within limits of size and time, and writes responses; the error of a handler becomes one."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from agent.core.errors import Permanent, Temporary
from agent.core.roles import Role
from agent.page.security.sessions import Session, same_csrf
from agent.page.server.state import COOKIE, access_of

log = logging.getLogger(__name__)

# The largest request judges an alarm, with a note of 1,000 characters.
MAX_BODY_BYTES = 16_384
BODY_SECONDS = 10.0

Handler = Callable[[Request], Awaitable[Response]]

_NO_STORE = {"cache-control": "no-store"}


class Rejected(Exception):
    """A request that is not carried out."""

    def __init__(self, status: int, error: str, **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.document = {"error": error, **more}


def answer(document: Any, status: int = 200) -> JSONResponse:
    """A JSON response that no cache keeps."""
    return JSONResponse(document, status, _NO_STORE)


def needs(role: Role | None) -> Callable[[Handler], Handler]:
    """A handler for people with this role; None: for anybody. A change needs the session's token as well."""

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        async def wrapped(request: Request) -> Response:
            try:
                if role is not None:
                    admit(request, role)
                return await handler(request)
            except Rejected as error:
                return answer(error.document, error.status)
            except Permanent as error:
                return answer({"error": str(error)}, 409)
            except Temporary as error:
                return answer({"error": str(error), "temporary": True}, 503)
            except ClientDisconnect:
                return Response(status_code=400)

        return wrapped

    return decorate


def session_of(request: Request) -> Session | None:
    """The session of a request, if its account still exists with the same role and password."""
    access = access_of(request)
    session = access.sessions.find(request.cookies.get(COOKIE))
    if session is None:
        return None
    account = access.accounts.all().get(session.person)
    if account is None or account.role is not session.role or account.password_hash != session.password_hash:
        access.sessions.end(request.cookies.get(COOKIE))
        return None
    return session


def admit(request: Request, role: Role) -> Session | None:
    """Check a request. Raises Rejected; None where anybody may look."""
    access, session = access_of(request), session_of(request)
    changes = request.method not in ("GET", "HEAD")
    if session is None:
        if role is Role.VIEW and not changes and access.options.view_without_login:
            return None
        raise Rejected(401, "log in first")
    if session.role < role:
        raise Rejected(403, f"this needs the role {role.text}; {session.person} has {session.role.text}")
    if changes:
        if not same_csrf(session, request.headers.get("x-csrf-token")):
            raise Rejected(403, "the token of this page is not valid any more; load the page again")
        access.sessions.touch(session)
    return session


def logged_in(request: Request) -> Session:
    """The session of a request that needs one. Raises Rejected where it has just ended."""
    session = session_of(request)
    if session is None:
        raise Rejected(401, "log in first")
    return session


def person(request: Request) -> str:
    """The name for the records of the agent."""
    session = session_of(request)
    return "page" if session is None else f"{session.person} (page)"


async def read_object(request: Request, most: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object of a request of `most` bytes at most. Raises Rejected for anything else, and for slow ones."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Rejected(415, "wanted application/json")
    try:
        body = await asyncio.wait_for(_read(request, most), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise Rejected(408, "the request took too long") from None
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise Rejected(400, "not JSON") from None
    if not isinstance(found, dict):
        raise Rejected(400, "wanted a JSON object")
    return found


def text_of(document: dict[str, Any], key: str, most: int) -> str:
    """A text of a request. Raises Rejected where it is missing, no text, or too long."""
    value = document.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise Rejected(400, f"{key}: wanted a text of 1 to {most} characters")
    return value


def number_of(document: dict[str, Any], key: str, least: float, most: float) -> float | None:
    """A number of a request; None where it is missing. Raises Rejected for anything else, or one beyond the limits."""
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise Rejected(400, f"{key}: wanted a number from {least:g} to {most:g}")
    return float(value)


async def _read(request: Request, most: int) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > most:
        raise Rejected(413, f"wanted {most} bytes at most")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Rejected(413, f"wanted {most} bytes at most")
    return body
