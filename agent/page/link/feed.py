"""What all viewers see: status and scores, asked for once for all of them, and only while somebody looks."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agent.core.errors import InspectdError
from agent.page.link.control import AgentLink

log = logging.getLogger(__name__)

SCORES_SECONDS = 0.5

# A status is asked for with every second look at the scores.
_STATUS_EVERY = 2
_DEVICE_EVERY = 20

MAX_VIEWERS = 60

Event = tuple[str, str]
"""Name and data as JSON: `status`, `scores`, `device`, `training`, and `gone` with the reason."""

Viewer = asyncio.Queue[Event]
"""The events that a viewer has not got yet; a slow one misses some."""


class Feed:
    """Asks the agent while there is a viewer, and gives each viewer everything from its beginning on."""

    def __init__(self, link: AgentLink, training: Callable[[], dict[str, Any]]) -> None:
        """`training`: returns the state of the training; called in a thread."""
        self._link = link
        self._training = training
        self._trained: dict[str, Any] | None = None
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None
        self._status: dict[str, Any] | None = None
        self._problem: str | None = None

    @property
    def full(self) -> bool:
        """Whether there is no room for another viewer."""
        return len(self._viewers) >= MAX_VIEWERS

    async def join(self) -> Viewer:
        """A new viewer, with everything that is known; `leave` when it has gone."""
        viewer: Viewer = asyncio.Queue(maxsize=16)
        self._viewers.add(viewer)
        if self._task is None or self._task.done():
            self._status = None
            self._task = asyncio.create_task(self._run())
        elif self._status is not None:
            viewer.put_nowait(("status", json.dumps(self._status)))
        if self._trained is not None:
            viewer.put_nowait(("training", json.dumps(self._trained)))
        for command in ("scores", "device"):
            with suppress(InspectdError):
                viewer.put_nowait((command, json.dumps(await self._link.ask(command))))
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A viewer has gone; the agent is not asked any more after the last one."""
        self._viewers.discard(viewer)

    async def _run(self) -> None:
        turn, since = 0, None
        while self._viewers:
            try:
                if turn % _STATUS_EVERY == 0:
                    self._status = await self._link.ask("status")
                    self._send("status", self._status)
                if turn % _DEVICE_EVERY == 0:
                    self._send("device", await self._link.ask("device"))
                found = await self._link.ask("scores", since=since)
                # The last point may have grown since, and clocks of two processes are one clock.
                since = max(0.0, found["now"] - 2.0)
                self._send("scores", found)
            except InspectdError as error:
                self._status = None
                self._send("gone", {"reason": str(error)})
            await self._look_at_training()
            turn += 1
            await asyncio.sleep(SCORES_SECONDS)

    async def _look_at_training(self) -> None:
        """What everybody may know of a training: that there is one, and how far it is."""
        found = await asyncio.to_thread(self._training)
        shown = {key: found.get(key) for key in ("state", "step", "fraction", "message")}
        if shown != self._trained:
            self._trained = shown
            self._send("training", shown)

    def _send(self, name: str, data: dict[str, Any]) -> None:
        event = (name, json.dumps(data))
        for viewer in self._viewers:
            if viewer.full():
                viewer.get_nowait()
            viewer.put_nowait(event)
