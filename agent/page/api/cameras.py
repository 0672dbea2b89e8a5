"""The cameras: events for all viewers, live images, the product, pause and resume."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.core.roles import Role
from agent.page.link.control import LOADING_SECONDS
from agent.page.server.events import stream_events
from agent.page.server.requests import Rejected, answer, needs, person, read_object, text_of
from agent.page.server.state import state_of

# The sizes that pages ask for; each is encoded apart.
_SIDES = (480, 960, 1600)


@needs(Role.VIEW)
async def events(request: Request) -> Response:
    """Status and scores as server-sent events, until the browser or the session ends."""
    return stream_events(request, state_of(request).feed)


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


@needs(Role.VIEW)
async def product(request: Request) -> Response:
    """The product that a camera inspects, and those that it knows."""
    return answer(await state_of(request).link.ask("product", request.path_params["camera"]))


@needs(Role.OPERATE)
async def select_product(request: Request) -> Response:
    """Judge the next parts as another product."""
    name = text_of(await read_object(request), "name", 64)
    link, camera = state_of(request).link, request.path_params["camera"]
    found = await link.ask("product", camera, sender=person(request), timeout_seconds=LOADING_SECONDS, name=name)
    return answer(found)


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
    Route("/api/cameras/{camera}/product", product),
    Route("/api/cameras/{camera}/product", select_product, methods=["POST"]),
    Route("/api/cameras/{camera}/pause", pause, methods=["POST"]),
    Route("/api/cameras/{camera}/resume", resume, methods=["POST"]),
]
