"""Training: good images, start, progress, report, comparison, and the decision about the model. For engineers."""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from agent.core.errors import Permanent
from agent.core.roles import Role
from agent.core.training_folder import read_json
from agent.page.link.control import LOADING_SECONDS
from agent.page.server.requests import Rejected, answer, logged_in, needs, number_of, person, read_object, text_of
from agent.page.server.state import access_of, state_of
from agent.page.training import IS_SERVICE, MAX_FILE_BYTES, TooMuch

# A list of ten thousand images that are left out.
_MAX_REQUEST_BYTES = 1 * 2**20

_KINDS = ("sample", "false_alarm")
_VIEWS = ("in_force", "drawn", "whole")
_RECIPES = ("pretrained", "scratch")

_COMPARED = re.compile(r"[A-Za-z0-9-]{1,100}\Z")


@needs(Role.ENGINEER)
async def show(request: Request) -> Response:
    """The state, what is missing for a training, and the comparison after it."""
    training = state_of(request).training

    def look() -> dict[str, Any]:
        state = training.state()
        compared = read_json(training.folder.comparison) if state["state"] == "done" else None
        return {**state, "missing": training.missing(), "service": IS_SERVICE, "comparison": compared}

    return answer(await asyncio.to_thread(look))


@needs(Role.ENGINEER)
async def images(request: Request) -> Response:
    """The good images to choose from: uploads, and what the agent keeps of a camera; and the views to train with."""
    state, camera = state_of(request), request.path_params["camera"]
    kept = await state.link.ask("review/images", camera)
    view = await state.link.ask("view", camera, side=64)
    uploads = await asyncio.to_thread(state.uploads.names)
    more = {"drawn": view["drawn"] is not None, "previous": view["previous"]}
    return answer({"uploads": uploads, "kept": kept["images"], **more})


@needs(Role.ENGINEER)
async def kept(request: Request) -> Response:
    """A kept image, small."""
    state, camera, image = state_of(request), request.path_params["camera"], request.path_params["image"]

    async def load() -> tuple[str, bytes]:
        found = await state.link.ask("review/image", camera, image=image, side=240)
        return str(found["media_type"]), base64.b64decode(found["base64"])

    try:
        media_type, payload = await state.images.get(f"kept {camera} {image}", load)
    except Permanent as error:
        raise Rejected(404, str(error)) from None
    return Response(payload, headers={"cache-control": "private, max-age=3600"}, media_type=media_type)


@needs(Role.ENGINEER)
async def upload(request: Request) -> Response:
    """One image of a good part, as the body."""
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_FILE_BYTES:
        raise Rejected(413, f"wanted {MAX_FILE_BYTES >> 20} MiB at most")
    try:
        return answer({"name": await state_of(request).uploads.receive(request.stream())})
    except TooMuch as error:
        raise Rejected(413, str(error)) from None


@needs(Role.ENGINEER)
async def uploaded(request: Request) -> Response:
    """An image that was uploaded, as it is."""
    return _file(state_of(request).uploads.path(request.path_params["name"]))


@needs(Role.ENGINEER)
async def clear(request: Request) -> Response:
    """Remove all uploads."""
    await asyncio.to_thread(state_of(request).uploads.clear)
    return answer({})


@needs(Role.ENGINEER)
async def start(request: Request) -> Response:
    """Start a training."""
    state, document = state_of(request), await read_object(request, _MAX_REQUEST_BYTES)
    wanted = {
        **_checked(document),
        "name": f"{document['camera']}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}",
        "by": person(request),
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "control_socket": state.options.control_socket,
    }
    missing = await asyncio.to_thread(state.training.missing)
    if missing is not None:
        raise Rejected(409, f"this device cannot train: {missing}")
    await asyncio.to_thread(state.training.start, wanted)
    return _noted(request, "training started", await asyncio.to_thread(state.training.state))


@needs(Role.ENGINEER)
async def cancel(request: Request) -> Response:
    """End the training that runs."""
    await asyncio.to_thread(state_of(request).training.cancel)
    return _noted(request, "training cancelled", {})


@needs(Role.ENGINEER)
async def drop(request: Request) -> Response:
    """Forget the trained model."""
    await asyncio.to_thread(state_of(request).training.drop)
    return _noted(request, "training dropped", {})


@needs(Role.ENGINEER)
async def take(request: Request) -> Response:
    """Put the trained model in force, or the one before it."""
    state, document = state_of(request), await read_object(request)
    camera, previous = text_of(document, "camera", 64), document.get("previous") is True
    which = {"previous": True} if previous else {"sha256": text_of(document, "sha256", 64)}
    done = await state.link.ask("bundle/take", camera, sender=person(request), timeout_seconds=LOADING_SECONDS, **which)
    if not previous:
        await asyncio.to_thread(state.training.drop)
    return answer(done)


@needs(Role.ENGINEER)
async def report(request: Request) -> Response:
    """The training report."""
    return _file(state_of(request).training.folder.bundle / "report.png")


@needs(Role.ENGINEER)
async def compared(request: Request) -> Response:
    """A small copy of an image that both models have scored."""
    name = request.path_params["image"]
    return _file(state_of(request).training.folder.compared / f"{name}.jpg" if _COMPARED.match(name) else None)


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    kinds, left_out = document.get("kinds"), document.get("left_out", [])
    if not isinstance(kinds, list) or not all(kind in _KINDS for kind in kinds):
        raise Rejected(400, f"kinds: wanted some of {', '.join(_KINDS)}")
    if not isinstance(left_out, list) or not all(isinstance(each, str) for each in left_out):
        raise Rejected(400, "left_out: wanted ids of images")
    steps, minutes = number_of(document, "steps", 1, 1_000_000), number_of(document, "minutes", 0.1, 600.0)
    return {
        "camera": text_of(document, "camera", 64),
        "kinds": kinds,
        "uploads": document.get("uploads") is True,
        "left_out": left_out,
        "view": _one_of(document, "view", _VIEWS),
        "recipe": _one_of(document, "recipe", _RECIPES),
        "minutes": None if steps is not None else minutes or 10.0,
        "steps": None if steps is None else int(steps),
    }


def _one_of(document: dict[str, Any], key: str, known: tuple[str, ...]) -> str:
    value = document.get(key, known[0])
    if value not in known:
        raise Rejected(400, f"{key}: wanted one of {', '.join(known)}")
    return str(value)


def _noted(request: Request, event: str, document: dict[str, Any]) -> Response:
    """The answer, and an entry in the audit log."""
    access_of(request).logins.add(
        event, logged_in(request).person, request.client.host if request.client else "a local socket"
    )
    return answer(document)


def _file(path: Path | None) -> Response:
    if path is None or not path.is_file():
        raise Rejected(404, "no such image")
    return FileResponse(path, headers={"cache-control": "private, no-cache"})


ROUTES = [
    Route("/api/training", show),
    Route("/api/training/start", start, methods=["POST"]),
    Route("/api/training/cancel", cancel, methods=["POST"]),
    Route("/api/training/drop", drop, methods=["POST"]),
    Route("/api/training/take", take, methods=["POST"]),
    Route("/api/training/report.png", report),
    Route("/api/training/compared/{image}", compared),
    Route("/api/training/uploads", upload, methods=["POST"]),
    Route("/api/training/uploads/clear", clear, methods=["POST"]),
    Route("/api/training/uploads/{name}", uploaded),
    Route("/api/cameras/{camera}/training-images", images),
    Route("/api/cameras/{camera}/training-images/{image}", kept),
]
