"""Parts: the latest ones, what became of each, and heatmaps of those that were sampled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.page.api.listing import KEPT_BY_BROWSER, filters_of, image_of, side_of, table_of
from agent.page.server.requests import Rejected, answer, needs
from agent.page.server.state import state_of

_FILTERS: Mapping[str, type] = {
    "group": str,
    "verdict": str,
    "product": str,
    "part": str,
    "since": str,
    "until": str,
    "score_from": float,
    "score_to": float,
    "before": int,
    "limit": int,
}

# The columns of the table.
_CSV = (
    *("number", "id", "camera", "part", "code", "product", "captured_at", "verdict", "reason", "score", "threshold"),
    *("alarm", "origin"),
)


@needs(Role.VIEW)
async def find(request: Request) -> Response:
    """The latest parts that fit the filters, newest first."""
    return answer(await _list(request))


@needs(Role.VIEW)
async def table(request: Request) -> Response:
    """The same as a table for a spreadsheet."""
    return table_of("parts.csv", _CSV, (await _list(request))["parts"])


@needs(Role.VIEW)
async def heatmap(request: Request) -> Response:
    """The heatmap of an ok part that was sampled: at full size, or as a thumbnail."""
    result, side = request.path_params["result"], side_of(request)
    state = state_of(request)

    async def load() -> tuple[str, bytes]:
        try:
            return image_of(await state.link.ask("results/image", result=result, side=side))
        except Permanent as error:
            raise Rejected(404, str(error)) from None

    media_type, payload = await (state.images.get(f"{result} heatmap {side}", load) if side else load())
    return Response(payload, headers=KEPT_BY_BROWSER, media_type=media_type)


async def _list(request: Request) -> dict[str, Any]:
    camera = request.query_params.get("camera") or None
    return await state_of(request).link.ask("results/list", camera, **filters_of(request, _FILTERS))


ROUTES = [Route("/api/parts", find), Route("/api/parts.csv", table), Route("/api/parts/{result}/heatmap", heatmap)]
