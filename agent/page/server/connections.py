"""Connections whose number and time are limited: slow, many and hostile clients cost little.

uvicorn has a limit on connections that it applies to requests only, and none on the time for a request's headers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Twenty viewers with six connections each, as browsers open them, and room for others.
MAX_CONNECTIONS = 256

# A browser sends its headers in one packet. Also the longest pause between two requests on one connection.
REQUEST_SECONDS = 15.0

# A client that takes nothing of a response for so long is gone.
SENDING_SECONDS = 20.0

_SWEEP_SECONDS = 1.0


class Connections:
    """All connections of one server."""

    def __init__(
        self,
        *,
        most: int = MAX_CONNECTIONS,
        request_seconds: float = REQUEST_SECONDS,
        sending_seconds: float = SENDING_SECONDS,
    ) -> None:
        """The limits: number, and seconds for a request and for the client to take a response."""
        self._most = most
        self._request_seconds = request_seconds
        self._sending_seconds = sending_seconds
        self._open: dict[LimitedProtocol, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: LimitedProtocol) -> bool:
        """Take in a new connection; where there are too many, the oldest without a request ends. False if none is."""
        if len(self._open) >= self._most:
            oldest = next(self._waiting(), None)
            if oldest is None:
                return False
            self.remove(oldest)
            oldest.abort()
        self._open[connection] = None
        return True

    def remove(self, connection: LimitedProtocol) -> None:
        """A connection has ended."""
        self._open.pop(connection, None)

    async def watch(self) -> None:
        """End the connections that are too slow, for ever."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sweep(time.monotonic())

    def sweep(self, now: float) -> None:
        """End the connections that are too slow at this time, monotonic seconds."""
        for each in list(self._open):
            if each.too_slow(now, self._request_seconds, self._sending_seconds):
                self.remove(each)
                each.abort()

    def _waiting(self) -> Iterator[LimitedProtocol]:
        return (each for each in self._open if not each.busy)


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn for one connection, which reports to its `Connections`."""

    limits: Connections

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._waiting_since: float | None = time.monotonic()
        self._blocked_since: float | None = None

    @property
    def busy(self) -> bool:
        """A request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def too_slow(self, now: float, request_seconds: float, sending_seconds: float) -> bool:
        """Whether this client has taken too long; call it every second."""
        if self._blocked_since is not None and now - self._blocked_since > sending_seconds:
            return True
        if self.busy:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since > request_seconds

    def abort(self) -> None:
        """Close at once, whatever waits to be sent."""
        self.transport.abort()

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if not self.limits.add(self):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self.limits.remove(self)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not keep up."""
        self._blocked_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._blocked_since = None
        super().resume_writing()


def limited_protocol(connections: Connections) -> type[LimitedProtocol]:
    """The protocol class of one server."""
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": connections})
