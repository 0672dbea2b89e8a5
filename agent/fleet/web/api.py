"""The routes: the table as events and as a document, one camera in detail, and the history."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.fleet.broker.documents import Document, Documents
from agent.fleet.cameras.fleet import MODELS
from agent.fleet.history.database import Database
from agent.fleet.web.feed import FleetFeed
from agent.messages import parse
from agent.page.api import SESSION_ROUTES
from agent.page.server.events import stream_events
from agent.page.server.requests import Rejected, answer, needs

# Below the row of a camera, and on a page of the history.
_SHOWN = 10
_MOST = 200

_MAX_PARAMETER = 1500

_FILTERS = ("agent", "camera", "kind", "verdict")


@dataclass(frozen=True, slots=True)
class FleetState:
    """What the handlers share."""

    feed: FleetFeed
    documents: Documents
    database: Database


def state_of(request: Request) -> FleetState:
    """The page that a request is for."""
    state: FleetState = request.app.state.fleet
    return state


@needs(Role.VIEW)
async def events(request: Request) -> Response:
    """The table as server-sent events, until the browser or the session ends."""
    return stream_events(request, state_of(request).feed)


@needs(Role.VIEW)
async def cameras(request: Request) -> Response:
    """The table as one document, for programs."""
    feed = state_of(request).feed
    await feed.count_alarms()
    feed.tick()
    return answer({**feed.header(), "cameras": list(feed.fleet.rows.values())})


@needs(Role.VIEW)
async def camera(request: Request) -> Response:
    """One camera: the latest documents as they arrived, and its latest alarms and events."""
    state, agent, name = state_of(request), _parameter(request, "agent"), _parameter(request, "camera")
    if agent is None:
        raise Rejected(400, "agent: wanted the topic of an agent")
    known = {what: state.documents.get(agent, None if what == "status" else name, what) for what in MODELS}
    filters = {"agent": agent, "camera": name or ""}
    alarms = await asyncio.to_thread(state.database.alarms, _SHOWN, filters)
    found = await asyncio.to_thread(state.database.events, agent, name or "", _SHOWN)
    documents = {what: _document(what, each) for what, each in known.items()}
    return answer({**documents, "alarms": alarms, "events": found})


@needs(Role.VIEW)
async def alarms(request: Request) -> Response:
    """The alarms of all cameras, newest first, page by page."""
    filters: dict[str, Any] = {key: value for key in _FILTERS if (value := _parameter(request, key)) is not None}
    before = _parameter(request, "before")
    if before is not None:
        filters["before"] = _number(before)
    return answer({"alarms": await asyncio.to_thread(state_of(request).database.alarms, _MOST, filters)})


@needs(Role.ENGINEER)
async def logins(request: Request) -> Response:
    """Who has logged in, and who has tried."""
    return answer({"logins": await asyncio.to_thread(state_of(request).database.logins, _MOST)})


@needs(Role.VIEW)
async def commands(request: Request) -> Response:
    """None: this page only looks. The page of a device asks its agent here."""
    return answer({"commands": []})


def _parameter(request: Request, name: str) -> str | None:
    text = request.query_params.get(name)
    if text is not None and (len(text) > _MAX_PARAMETER or "\0" in text):
        raise Rejected(400, f"{name}: wanted a shorter text")
    return text or None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Rejected(400, "before: wanted a time, Unix seconds") from None


def _document(what: str, document: Document | None) -> Any:
    """As it arrived; None where there is none that can be read."""
    if document is None:
        return None
    try:
        return parse(MODELS[what], document.payload).model_dump(mode="json", by_alias=True)
    except Permanent:
        return None


ROUTES = [
    *SESSION_ROUTES,
    Route("/api/events", events),
    Route("/api/cameras", cameras),
    Route("/api/camera", camera),
    Route("/api/alarms", alarms),
    Route("/api/logins", logins),
    Route("/api/commands", commands),
]
