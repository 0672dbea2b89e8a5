"""Reads the settings again while the agent runs, and takes over those that can change."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agent.commands import Reload, plan_reload
from agent.core.errors import Permanent
from agent.inspection import CameraLine
from agent.outputs import Output
from agent.settings import Settings


class ReloadedAgent(Protocol):
    """What changes when settings are read again."""

    settings: Settings

    @property
    def lines(self) -> Mapping[str, CameraLine]: ...

    @property
    def outputs(self) -> Sequence[Output]: ...


class Reloading:
    """Reloads the settings of one agent, once at a time. Any thread may call."""

    def __init__(self, agent: ReloadedAgent, read_again: Callable[[], Settings] | None) -> None:
        """`read_again`: as for `Service`."""
        self._agent = agent
        self._read_again = read_again
        self._lock = threading.Lock()

    def reload(self) -> Reload:
        """Read the settings again and take over those that can change while the agent runs.

        Raises Permanent, and changes nothing, where they are broken; Temporary where an inspection thread hangs.
        """
        if self._read_again is None:
            raise Permanent("this agent was started without a settings file; wanted one to read")
        agent = self._agent
        with self._lock:
            reload = plan_reload(agent.settings, self._read_again())
            for name in reload.cameras:
                agent.lines[name].adopt(reload.settings.cameras[name])
            agent.settings = reload.settings
            for output in agent.outputs:
                output.adopt(agent.settings.output_sections[output.name])
            logging.getLogger().setLevel(agent.settings.log.level.upper())
        return reload
