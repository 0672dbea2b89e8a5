"""Follows the agent over its control socket: results and alarms at once, states every half second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.core.errors import InspectdError
from agent.core.records import place_of_group
from agent.messages import StatePayload, state_of_group
from agent.opcua.vision_system import VisionSystem
from agent.page.link.control import AgentLink

log = logging.getLogger(__name__)

STATE_SECONDS = 0.5

# The agent answers earlier as soon as there is news.
WAIT_SECONDS = 1.0

# Between two attempts to reach an agent that does not answer.
RETRY_SECONDS = 0.5


class Follower:
    """Passes on what the agent reports to the cameras' vision systems."""

    def __init__(self, control_socket: str, systems: Mapping[str, VisionSystem]) -> None:
        self._states = AgentLink(control_socket)
        self._events = AgentLink(control_socket)
        self._systems = systems
        self._run: str | None = None
        self._number = 0
        self._away = False

    async def run(self) -> None:
        """Follow until it is cancelled."""
        await asyncio.gather(
            self._follow(self._next_events, self._events_missing, 0.0),
            self._follow(self._next_states, self._lost, STATE_SECONDS),
        )

    async def _follow(
        self, step: Callable[[], Awaitable[None]], failed: Callable[[str], Awaitable[None]], pause_seconds: float
    ) -> None:
        while True:
            try:
                await step()
            except InspectdError as error:
                await failed(str(error))
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                log.exception("unexpected error, trying again")
                await asyncio.sleep(RETRY_SECONDS)
            await asyncio.sleep(pause_seconds)

    async def _lost(self, reason: str) -> None:
        if not self._away:
            log.warning("%s", reason)
        self._away = True
        for system in self._systems.values():
            await system.lost(reason)

    async def _events_missing(self, reason: str) -> None:
        """The states show whether the agent is there; events are asked for again by their number."""
        log.debug("no results and alarms: %s", reason)

    async def _next_states(self) -> None:
        asked = time.monotonic()
        found = await self._states.ask("status", sender="OPC UA")
        if self._away:
            log.info("the agent answers")
        self._away = False
        states = {name: StatePayload.model_validate(state) for name, state in found["cameras"].items()}
        cameras = {name: (name,) for name in states}
        cameras |= {place_of_group(name): tuple(group["cameras"]) for name, group in found["parts"].items()}
        for place, system in self._systems.items():
            if place not in cameras:
                await system.lost(f"the agent has no {place} any more")
                continue
            system.cameras = cameras[place]
            await system.show(state_of_group(place, [states[camera] for camera in system.cameras]), asked)

    async def _next_events(self) -> None:
        found = await self._events.ask(
            "recent", sender="OPC UA", run=self._run, after=self._number, wait_seconds=WAIT_SECONDS
        )
        if found["run"] != self._run:
            for system in self._systems.values():
                await system.restarted(found["run"])
        elif found["missed"]:
            log.warning("%d results and alarms were missed: more than the agent keeps in memory", found["missed"])
        self._run, self._number = found["run"], found["number"]
        for event in found["events"]:
            await self._take(event)

    async def _take(self, event: Mapping[str, Any]) -> None:
        system = self._systems.get(event["camera"])
        if system is None:
            return
        if event["kind"] == "alarm":
            await system.take_alarm(event)
        else:
            await system.take_result(event)
