"""Alarms: list, one of them, its images, people's judgements, export."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.page.api.listing import KEPT_BY_BROWSER, filters_of, image_of, side_of, table_of
from agent.page.link.control import AgentLink
from agent.page.server.requests import Rejected, answer, logged_in, needs, person, read_object
from agent.page.server.state import PageState, state_of

_FILTERS: Mapping[str, type] = {
    "verdict": str,
    "kind": str,
    "product": str,
    "since": str,
    "until": str,
    "before": str,
    "after": str,
    "score_from": float,
    "score_to": float,
    "limit": int,
}

# The images of an alarm are on the disk a moment after it is listed: 0.2 s, on a busy device two seconds.
_FRESH_SECONDS = 10.0
_RETRY_SECONDS = 0.25

_NAMES = ("frame", "overlay", "heatmap")

# The columns of the table.
_CSV = (
    *("id", "camera", "kind", "product", "raised_at", "cleared_at", "score", "peak", "threshold", "rule"),
    *("calibration", "origin", "reason", "verdict", "by", "judged_at", "note", "defect"),
)


@needs(Role.VIEW)
async def find(request: Request) -> Response:
    """The latest alarms that fit the filters, newest first."""
    return answer(await _list(request))


@needs(Role.VIEW)
async def table(request: Request) -> Response:
    """The same as a table for a spreadsheet."""
    return table_of("alarms.csv", _CSV, (await _list(request))["alarms"])


@needs(Role.VIEW)
async def show(request: Request) -> Response:
    """One alarm with all its judgements, and the names of its images."""
    found = await _shown(state_of(request).link, request.path_params["alarm"])
    # Paths on the device are nobody's business here.
    return answer({**found, "images": sorted(found["images"]), "image": None})


@needs(Role.VIEW)
async def image(request: Request) -> Response:
    """One image of an alarm: at full size, or as a thumbnail."""
    alarm, name = request.path_params["alarm"], request.path_params["name"]
    side = side_of(request)
    if name not in _NAMES:
        raise Rejected(400, f"wanted an image {', '.join(_NAMES)}")
    state = state_of(request)

    async def load() -> tuple[str, bytes]:
        return image_of(await _image_of(state, alarm, name, side))

    media_type, payload = await (state.images.get(f"{alarm} {name} {side}", load) if side else load())
    return Response(payload, headers=KEPT_BY_BROWSER, media_type=media_type)


async def _shown(link: AgentLink, alarm: str) -> dict[str, Any]:
    """One alarm; one that was raised just now, once its images are there. `frame` is written last."""
    while True:
        found = await link.ask("alarms/show", alarm=alarm)
        if found["frame"] is None or "frame" in found["images"] or not _fresh(alarm, time.time()):
            return found
        await asyncio.sleep(_RETRY_SECONDS)


async def _image_of(state: PageState, alarm: str, name: str, side: int | None) -> dict[str, Any]:
    """An image of an alarm; of one that was raised just now, once it is there. Raises Rejected for one that is not."""
    while True:
        try:
            return await state.link.ask("alarms/image", alarm=alarm, name=name, side=side)
        except Permanent as error:
            if not _fresh(alarm, time.time()):
                raise Rejected(404, str(error)) from None
        await asyncio.sleep(_RETRY_SECONDS)


def _fresh(alarm: str, now: float) -> bool:
    """Whether an alarm was raised within the last seconds, by the time in its id.

    >>> _fresh("018bcfe5-6800-7843-89c8-866b8e61ab85", 1_700_000_003.0), _fresh("1", 0.0)
    (True, False)
    """
    try:
        raised = (uuid.UUID(alarm).int >> 80) / 1000.0
    except ValueError:
        return False
    return 0.0 <= now - raised < _FRESH_SECONDS


@needs(Role.OPERATE)
async def judge(request: Request) -> Response:
    """Judge an alarm true or false, in the name of the person."""
    document = await read_object(request)
    session = logged_in(request)
    given = {key: document[key] for key in ("verdict", "note", "kind") if document.get(key) is not None}
    alarm = request.path_params["alarm"]
    link, sender = state_of(request).link, person(request)
    return answer(await link.ask("alarms/judge", sender=sender, alarm=alarm, by=session.person, **given))


@needs(Role.ENGINEER)
async def export(request: Request) -> Response:
    """Write the images of judged alarms to a folder on the device, for training."""
    return answer(await state_of(request).link.ask("alarms/export", sender=person(request)))


async def _list(request: Request) -> dict[str, Any]:
    camera = request.query_params.get("camera") or None
    return await state_of(request).link.ask("alarms/list", camera, **filters_of(request, _FILTERS))


ROUTES = [
    Route("/api/alarms", find),
    Route("/api/alarms.csv", table),
    Route("/api/alarms/export", export, methods=["POST"]),
    Route("/api/alarms/{alarm}", show),
    Route("/api/alarms/{alarm}/images/{name}", image),
    Route("/api/alarms/{alarm}/verdict", judge, methods=["POST"]),
]
