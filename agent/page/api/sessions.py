"""Log in, log out, and who is logged in."""

from __future__ import annotations

import asyncio
import logging
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.printable import printable
from agent.page.security.accounts import MAX_NAME_LENGTH, MAX_PASSWORD_LENGTH
from agent.page.security.sessions import Session
from agent.page.server.files import languages
from agent.page.server.requests import Rejected, answer, needs, read_object, session_of, text_of
from agent.page.server.state import COOKIE, Access, access_of

log = logging.getLogger(__name__)


@needs(None)
async def show(request: Request) -> Response:
    """The person who is logged in, if any, and what the page needs to begin."""
    return answer(_document(access_of(request), session_of(request)))


@needs(None)
async def log_in(request: Request) -> Response:
    """Check name and password; the session's token is in a cookie that no script can read."""
    access, document = access_of(request), await read_object(request)
    name, password = text_of(document, "name", MAX_NAME_LENGTH), text_of(document, "password", MAX_PASSWORD_LENGTH)
    wait = access.limit.wait_seconds(name)
    if wait > 0:
        raise Rejected(429, f"too many wrong passwords; try again in {wait} s", wait_seconds=wait)
    # Counted before the check: a hundred tries at the same time are a hundred tries.
    access.limit.failed(name)
    account = await asyncio.to_thread(access.accounts.check, name, password)
    if account is None:
        log.warning("login of %s failed, from %s", printable(name), _address(request))
        access.logins.add("login failed", name, _address(request))
        raise Rejected(401, "name or password is wrong")
    access.limit.succeeded(name)
    access.sessions.end(request.cookies.get(COOKIE))
    token, session = access.sessions.begin(account.name, account.role, account.password_hash)
    log.info("login of %s, %s, from %s", account.name, account.role.text, _address(request))
    access.logins.add("login", account.name, _address(request), account.role.text)
    response = answer(_document(access, session))
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path="/")
    return response


@needs(None)
async def log_out(request: Request) -> Response:
    """End the session. Needs no token: the cookie is not sent by other sites."""
    access, session = access_of(request), session_of(request)
    if session is not None:
        log.info("logout of %s", session.person)
        access.logins.add("logout", session.person, _address(request))
    access.sessions.end(request.cookies.get(COOKIE))
    response = answer(_document(access, None))
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return response


@needs(None)
async def touch(request: Request) -> Response:
    """The person has used keyboard, mouse or finger; images and events alone keep no session alive."""
    session = session_of(request)
    if session is not None:
        access_of(request).sessions.touch(session)
    return answer({"active": session is not None})


def _document(access: Access, session: Session | None) -> dict[str, Any]:
    return {
        "site": access.options.site,
        "version": version("inspectd"),
        "languages": languages(),
        "accounts": bool(access.accounts.all()),
        "add_user": access.options.add_user,
        "view_without_login": access.options.view_without_login,
        "person": None if session is None else session.person,
        "role": None if session is None else session.role.text,
        "csrf": None if session is None else session.csrf,
    }


def _address(request: Request) -> str:
    return request.client.host if request.client else "a local socket"


ROUTES = [
    Route("/api/session", show),
    Route("/api/login", log_in, methods=["POST"]),
    Route("/api/logout", log_out, methods=["POST"]),
    Route("/api/activity", touch, methods=["POST"]),
]
