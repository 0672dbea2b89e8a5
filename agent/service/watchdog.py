"""What the service manager is told of the cameras: ready, how they are, and that they get on.

The watchdog is fed by frames, not by time: when every camera has got on since it was last fed. Where the engine hangs,
or a camera that delivers stops without saying so, nothing is fed, and the manager starts the agent anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.core.records import Phase
from agent.messages import StatePayload
from agent.service.restart_delay import RestartDelay
from agent.service.sd_notify import Notifier

# A start may take so long from one sign of progress to the next: opening a camera takes 5 s, loading a model 1 s.
START_PATIENCE_SECONDS = 60.0

# Building a TensorRT plan takes minutes on a Jetson; one that takes longer than this hangs.
ENGINE_PATIENCE_SECONDS = 1800.0

# Counts in the status line move with every frame; a person reads them now and then.
STATUS_SECONDS = 5.0

# Phases in which frames are inspected or learned from; the last: they were, the folder is at its end.
AT_WORK = (Phase.CALIBRATING, Phase.ARMED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class Pulse:
    """What one camera's progress is recognised by."""

    rounds: int
    """How often its inspection thread came round to look for work."""
    frames: int
    """Frames of this camera that were scored."""
    idle: bool
    """No frame is due: the camera is lost and will be tried again, or a file or folder has no more."""

    def since(self, earlier: Pulse | None) -> bool:
        """Whether the camera has got on since an earlier pulse; None: since ever.

        >>> then = Pulse(rounds=5, frames=7, idle=False)
        >>> Pulse(6, 8, False).since(then), Pulse(6, 7, False).since(then), Pulse(6, 7, True).since(then)
        (True, False, True)
        >>> Pulse(5, 7, True).since(then)
        False
        """
        if earlier is None:
            return self.frames > 0 or self.idle
        return self.rounds != earlier.rounds and (self.frames != earlier.frames or self.idle)


class Supervised(Protocol):
    """What is looked at."""

    def pulses(self) -> Mapping[str, Pulse]:
        """By camera."""

    def states(self) -> Mapping[str, StatePayload]:
        """By camera."""


class Watchdog:
    """Tells the service manager. For one thread."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        restarts: RestartDelay | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Without a notifier nobody is told, without restarts nothing is counted."""
        self._notifier = notifier or Notifier()
        self._restarts = restarts or RestartDelay(None)
        self._clock, self._sleep = clock, sleep
        self._ready = False
        self._fed: Mapping[str, Pulse] = {}
        self._phases: list[Phase] = []
        self._told_at = 0.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Watchdog:
        """As systemd tells a service of itself: NOTIFY_SOCKET and RUNTIME_DIRECTORY."""
        notifier = Notifier.from_environment(environment)
        directory = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return cls(notifier, RestartDelay(Path(directory) if directory and notifier.listening else None))

    @property
    def supervised(self) -> bool:
        """Whether a service manager started this agent."""
        return self._notifier.listening

    def wait_before_start(self) -> None:
        """Wait the longer, the more starts in a row came to nothing."""
        seconds = self._restarts.begin()
        if seconds > 0:
            self._notifier.extend_timeout(seconds + START_PATIENCE_SECONDS)
            self._notifier.status(f"waiting {seconds:g} s: the last starts failed, see the log")
            self._sleep(seconds)

    def engine_opens(self, camera: str, engine: str) -> None:
        """Before an engine is opened, which may have to be built first."""
        self._notifier.extend_timeout(ENGINE_PATIENCE_SECONDS)
        self._notifier.status(f"{camera}: opening its engine ({engine})")

    def engine_builds(self, camera: str, fraction: float, step: str) -> None:
        """While it is being built: told to a person now and then, and each time a reason to go on waiting."""
        now = self._clock()
        if now - self._told_at >= STATUS_SECONDS:
            self._told_at = now
            self._notifier.extend_timeout(ENGINE_PATIENCE_SECONDS)
            self._notifier.status(f"{camera}: building its engine, {fraction:.0%} ({step})")

    def look(self, supervised: Supervised) -> None:
        """A few times a second: is there something new to tell?"""
        if not self._notifier.listening:
            return
        states = supervised.states()
        self._tell(states)
        if not self._ready and any(_at_work(state) for state in states.values()):
            self._ready = True
            self._notifier.ready()
            self._restarts.forget()
        self._feed(supervised.pulses())

    def stopping(self) -> None:
        """The agent is about to end."""
        self._notifier.stopping()
        self._notifier.status("stopping")

    def ended_well(self) -> None:
        """The agent was stopped, or all is inspected: nothing for the next start to wait for."""
        self._restarts.forget()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Around reading the settings again, where that was asked for by `systemctl reload` or SIGHUP."""
        if not self._ready:
            yield
            return
        self._notifier.reloading()
        try:
            yield
        finally:
            self._notifier.ready()

    def _feed(self, pulses: Mapping[str, Pulse]) -> None:
        """The watchdog, or, before the service is ready, the patience of the manager."""
        if not all(pulse.since(self._fed.get(name)) for name, pulse in pulses.items()):
            return
        self._fed = pulses
        if self._ready:
            self._notifier.watchdog()
        else:
            self._notifier.extend_timeout(START_PATIENCE_SECONDS)

    def _tell(self, states: Mapping[str, StatePayload]) -> None:
        phases, now = [state.phase for state in states.values()], self._clock()
        if phases != self._phases or now - self._told_at >= STATUS_SECONDS:
            self._phases, self._told_at = phases, now
            self._notifier.status("; ".join(status_text(state) for state in states.values()))


def _at_work(state: StatePayload) -> bool:
    return state.phase in AT_WORK and state.frames > 0


def status_text(state: StatePayload) -> str:
    """One camera in a few words: phase, progress, frames a second, what is wrong."""
    parts = [f"{state.camera} {state.phase.value.replace('_', ' ')}"]
    if state.progress is not None and state.phase in (Phase.STARTING, Phase.CALIBRATING):
        parts[0] += f" {state.progress.frames} of {state.progress.wanted} good frames"
    if state.phase is not Phase.CAMERA_LOST:
        parts.append(f"{state.frames_per_second:.1f} frames/s")
    if state.alarm is not None:
        parts.append("ALARM")
    if state.reason is not None:
        parts.append(state.reason)
    return ", ".join(parts)
