"""Server-sent events for a viewer, until the browser or its session ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agent.core.roles import Role
from agent.page.link.feed import Event, Viewer
from agent.page.server.requests import Rejected, admit

# A viewer whose session has ended sees nothing more after this time.
_CHECK_SECONDS = 2.0


class LiveFeed(Protocol):
    """What all viewers of a page see."""

    @property
    def full(self) -> bool:
        """Whether there is no room for another viewer."""

    async def join(self) -> Viewer:
        """A new viewer, with everything that is known; `leave` when it has gone."""

    def leave(self, viewer: Viewer) -> None:
        """A viewer has gone."""


def stream_events(request: Request, feed: LiveFeed) -> Response:
    """The events of a feed for people who may look. Raises Rejected where too many look."""
    if feed.full:
        raise Rejected(503, "too many people look at the moment", temporary=True)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(request, feed), headers=headers, media_type="text/event-stream")


async def _stream(request: Request, feed: LiveFeed) -> AsyncIterator[bytes]:
    viewer = await feed.join()
    try:
        while True:
            event = await _next(viewer)
            try:
                admit(request, Role.VIEW)
            except Rejected:
                yield b"event: ended\ndata: {}\n\n"
                return
            yield b": nothing new\n\n" if event is None else f"event: {event[0]}\ndata: {event[1]}\n\n".encode()
    finally:
        feed.leave(viewer)


async def _next(viewer: Viewer) -> Event | None:
    try:
        return await asyncio.wait_for(viewer.get(), _CHECK_SECONDS)
    except asyncio.TimeoutError:
        return None
