"""The first and the last that every request passes: the host and the origin that it names, and headers for browsers."""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Nothing but this page's own files: no inline script, no other host, no frame around it. Images come as data, too.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), usb=(), payment=()",
}
_RAW_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]

_SAFE_METHODS = ("GET", "HEAD")


class Guard:
    """Rejects requests for another host, which a site could make by changing its own address (DNS rebinding), and
    changes that another site has made; adds the headers to every response."""

    def __init__(self, app: ASGIApp, *, names: Iterable[str] = ()) -> None:
        """`names`: host names besides this machine's own; addresses are always accepted."""
        machine = socket.gethostname().lower()
        self._app = app
        self._names = {"localhost", machine, f"{machine}.local", *(name.lower().rstrip(".") for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_RAW_HEADERS]}
            await send(message)

        fault = self.fault(scope["method"], _headers(scope))
        if fault is None:
            await self._app(scope, receive, send_with_headers)
        else:
            await _reject(send_with_headers, *fault)

    def fault(self, method: str, headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and reason for a request that is rejected; None for one that is admitted."""
        host = headers.get("host", "")
        if not self._known(_name_of(host)):
            return 421, f"host {ascii(host)[:80]} is not known here; add it to page.names in the settings"
        if method in _SAFE_METHODS:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, "the request was made by another site"
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "the request was made by another site"
        return None

    def _known(self, name: str) -> bool:
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name_of(host: str) -> str:
    """The host of a `Host` header without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        # Two hosts or two origins: whichever is meant, it is not a browser.
        found[key] = value.decode("latin-1") if key not in found else "\0"
    return found


async def _reject(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers: list[Any] = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
