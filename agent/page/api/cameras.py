"""The cameras: events for all viewers, live images, pause and resume."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agent.page.link.feed import Event, Viewer
from agent.page.security.roles import Role
from agent.page.server.requests import Rejected, admit, answer, needs, person
from agent.page.server.state import state_of

# A viewer whose session has ended sees nothing more after this time.
_CHECK_SECONDS = 2.0

# The sizes that pages ask for; each is encoded apart.
_SIDES = (480, 960, 1600)


@needs(Role.VIEW)
async def events(request: Request) -> Response:
    """Status and scores as server-sent events, until the browser or the session ends."""
    if state_of(request).feed.full:
        raise Rejected(503, "too many people look at the moment", temporary=True)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_stream(request), headers=headers, media_type="text/event-stream")


async def _stream(request: Request) -> AsyncIterator[bytes]:
    feed = state_of(request).feed
    viewer = await feed.join()
    try:
        while True:
            event = await _next(viewer)
            try:
                admit(request, Role.VIEW)
            except Rejected:
                yield b"event: ended\ndata: {}\n\n"
                return
            yield (
                b": nothing new\n\n"
                if event is None
                else f"event: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode()
            )
    finally:
        feed.leave(viewer)


async def _next(viewer: Viewer) -> Event | None:
    try:
        return await asyncio.wait_for(viewer.get(), _CHECK_SECONDS)
    except asyncio.TimeoutError:
        return None


@needs(Role.VIEW)
async def live(request: Request) -> Response:
    """The latest image of a camera with its heat; 204 while it is the one that the browser shows already."""
    try:
        side = int(request.query_params.get("side", "960"))
        after = int(request.query_params.get("after", "-1"))
    except ValueError:
        raise Rejected(400, "side, after: wanted whole numbers") from None
    if side not in _SIDES:
        raise Rejected(400, f"side: wanted one of {', '.join(map(str, _SIDES))}")
    found = await state_of(request).live.get(request.path_params["camera"], side)
    if found["frame"] == after:
        return Response(status_code=204, headers={"cache-control": "no-store"})
    return JSONResponse(found, headers={"cache-control": "no-store"})


@needs(Role.VIEW)
async def scores(request: Request) -> Response:
    """The scores around a time, for an alarm of the past."""
    try:
        at, seconds = (float(request.query_params[key]) for key in ("at", "seconds"))
    except (KeyError, ValueError):
        raise Rejected(400, "at, seconds: wanted numbers") from None
    camera = request.path_params["camera"]
    found = await state_of(request).link.ask("scores", camera, at=at, seconds=seconds)
    return answer(found["cameras"][camera])


@needs(Role.VIEW)
async def commands(request: Request) -> Response:
    """The commands that the agent accepts: the page shows no others."""
    return answer(await state_of(request).link.ask("commands"))


@needs(Role.OPERATE)
async def pause(request: Request) -> Response:
    """Stop judging frames."""
    return answer(await state_of(request).link.ask("pause", request.path_params["camera"], sender=person(request)))


@needs(Role.OPERATE)
async def resume(request: Request) -> Response:
    """Judge frames again."""
    return answer(await state_of(request).link.ask("resume", request.path_params["camera"], sender=person(request)))


ROUTES = [
    Route("/api/events", events),
    Route("/api/commands", commands),
    Route("/api/cameras/{camera}/live", live),
    Route("/api/cameras/{camera}/scores", scores),
    Route("/api/cameras/{camera}/pause", pause, methods=["POST"]),
    Route("/api/cameras/{camera}/resume", resume, methods=["POST"]),
]
