"""Reads the settings again while the agent runs, and takes over those that can change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from agent.commands import Effect, Reload, plan_reload
from agent.core.errors import Permanent
from agent.inspection import CameraLine
from agent.outputs import Output
from agent.service.cameras import ProductChoice, Rebuilding, changed_bundles
from agent.service.results import Results
from agent.settings import Settings


class ReloadedAgent(Protocol):
    """What changes when settings are read again."""

    settings: Settings

    @property
    def lines(self) -> Mapping[str, CameraLine]: ...

    @property
    def outputs(self) -> Sequence[Output]: ...

    @property
    def products(self) -> ProductChoice: ...

    @property
    def rebuilding(self) -> Rebuilding: ...

    @property
    def results(self) -> Results | None: ...


class Reloading:
    """Reloads the settings of one agent, once at a time. Any thread may call."""

    def __init__(self, agent: ReloadedAgent, read_again: Callable[[], Settings] | None) -> None:
        """`read_again`: as for `Service`."""
        self._agent = agent
        self._read_again = read_again
        self._lock = threading.Lock()

    def reload(self) -> Reload:
        """Read the settings again and take over those that can change while the agent runs.

        Raises Permanent, and changes nothing, where they are broken or a new model or source cannot be used; Temporary
        where an inspection thread hangs.
        """
        if self._read_again is None:
            raise Permanent("this agent was started without a settings file; wanted one to read")
        agent = self._agent
        with self._lock:
            reload = self._plan(self._read_again())
            rebuilt = [name for name in agent.lines if name in reload.rebuilt]
            plans = {name: agent.rebuilding.plan(agent.lines[name], reload.settings.cameras[name]) for name in rebuilt}
            for name, plan in plans.items():
                agent.rebuilding.carry_out(plan)
                cameras = {**agent.settings.cameras, name: reload.settings.cameras[name]}
                self._take_over(agent.settings.model_copy(update={"cameras": cameras}))
            for name in reload.cameras - reload.rebuilt:
                agent.lines[name].adopt(reload.settings.cameras[name])
            self._take_over(reload.settings)
            # Before the groups: an output may number new ones by its new settings.
            for output in agent.outputs:
                output.adopt(agent.settings.output_sections[output.name])
            if agent.results is not None:
                agent.results.adopt(agent.settings)
            logging.getLogger().setLevel(agent.settings.log.level.upper())
        return reload

    def _plan(self, new: Settings) -> Reload:
        """What changes, with the bundles whose files have changed under the same name."""
        reload = plan_reload(self._agent.settings, new)
        found = [key for line in self._agent.lines.values() for key in changed_bundles(line)]
        known = reload.keys[Effect.NOW]
        more = tuple(key for key in found if key not in known)
        return replace(reload, keys={**reload.keys, Effect.NOW: known + more})

    def _take_over(self, settings: Settings) -> None:
        self._agent.settings = self._agent.products.settings = settings
