"""Setting up: the window, recalibration with its preview, earlier calibrations, settings read again."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.page.link.control import LOADING_SECONDS
from agent.page.server.requests import Rejected, answer, needs, person, read_object
from agent.page.server.state import state_of

_DECISIONS = ("confirm_good", "throw_out")
_PLAN = ("frames", "false_alarms", "fresh")


@needs(Role.VIEW)
async def window(request: Request) -> Response:
    """The window that waits for a decision or is in force, with its hottest images."""
    try:
        return answer(await state_of(request).link.ask("calibration/review", _camera(request), inline=True))
    except Permanent:
        # None waits, and a person has looked at the one in force.
        return Response(status_code=204)


@needs(Role.ENGINEER)
async def decide(request: Request) -> Response:
    """Confirm that the window shows good parts, or throw out images of bad ones."""
    document = await read_object(request)
    decision = document.get("decision")
    if decision not in _DECISIONS:
        raise Rejected(400, f"decision: wanted one of {', '.join(_DECISIONS)}")
    only = {"only": document["only"]} if document.get("only") is not None else {}
    return answer(await _send(request, "calibration/review", **{decision: True}, **only))


@needs(Role.VIEW)
async def calibrations(request: Request) -> Response:
    """Every calibration of a camera, and which one is in force."""
    return answer(await state_of(request).link.ask("calibration/list", _camera(request)))


@needs(Role.ENGINEER)
async def recalibrate(request: Request) -> Response:
    """Fill a new window, always as a dry run: nothing takes effect before a person has seen the preview."""
    document = await read_object(request)
    if document.get("cancel"):
        return answer(await _send(request, "recalibrate", cancel=True))
    plan = {key: document[key] for key in _PLAN if document.get(key) is not None}
    return answer(await _send(request, "recalibrate", dry_run=True, **plan))


@needs(Role.ENGINEER)
async def roll_back(request: Request) -> Response:
    """Put a calibration in force: an earlier one, or the one of a preview."""
    document = await read_object(request)
    to = {"to": document["to"]} if document.get("to") is not None else {}
    return answer(await _send(request, "calibration/rollback", **to))


@needs(Role.ENGINEER)
async def reload(request: Request) -> Response:
    """Read the settings file again."""
    return answer(await state_of(request).link.ask("reload", sender=person(request), timeout_seconds=LOADING_SECONDS))


async def _send(request: Request, command: str, **fields: Any) -> dict[str, Any]:
    return await state_of(request).link.ask(command, _camera(request), sender=person(request), **fields)


def _camera(request: Request) -> str:
    return str(request.path_params["camera"])


ROUTES = [
    Route("/api/cameras/{camera}/window", window),
    Route("/api/cameras/{camera}/window", decide, methods=["POST"]),
    Route("/api/cameras/{camera}/calibrations", calibrations),
    Route("/api/cameras/{camera}/recalibrate", recalibrate, methods=["POST"]),
    Route("/api/cameras/{camera}/rollback", roll_back, methods=["POST"]),
    Route("/api/reload", reload, methods=["POST"]),
]
