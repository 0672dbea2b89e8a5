"""The part of a camera's images that is inspected: in force, and as an engineer has drawn it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.roles import Role
from agent.page.server.requests import answer, needs, person, read_object
from agent.page.server.state import state_of

_FIELDS = ("width", "height", "crop", "exclude", "sensitivity")


@needs(Role.ENGINEER)
async def show(request: Request) -> Response:
    """The latest source image with crop, mask, sensitivity and code region."""
    return answer(await state_of(request).link.ask("view", request.path_params["camera"]))


@needs(Role.ENGINEER)
async def draw(request: Request) -> Response:
    """Keep a drawn crop, mask and sensitivity for training."""
    document = await read_object(request)
    given = {key: document[key] for key in _FIELDS if document.get(key) is not None}
    link, camera = state_of(request).link, request.path_params["camera"]
    return answer(await link.ask("view/draw", camera, sender=person(request), **given))


ROUTES = [
    Route("/api/cameras/{camera}/view", show),
    Route("/api/cameras/{camera}/view", draw, methods=["POST"]),
]
