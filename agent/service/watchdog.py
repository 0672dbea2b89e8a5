"""Reports to systemd: ready, a status line for people, and keep-alive messages for its watchdog.

A keep-alive message needs progress, not just time: it is sent when every camera has made progress since the last one.
If an engine hangs, or a source stops delivering without an error, none is sent, and systemd restarts the agent.
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
from agent.messages import StatePayload, frame_rate_text
from agent.service.restart_delay import RestartDelay
from agent.service.sd_notify import Notifier

# Longest time from one step of a start to the next: opening a camera takes 5 s, loading a model 1 s.
START_TIMEOUT_SECONDS = 60.0

# Longest time from one step of opening an engine to the next. Building a TensorRT plan takes minutes on a Jetson.
ENGINE_TIMEOUT_SECONDS = 1800.0

# How often the status line is sent though only its counts changed; they change with every frame.
STATUS_SECONDS = 5.0

# Phases in which frames are judged or fill a window. `stopped` is the end of a folder, so they were.
WORKING_PHASES = (Phase.CALIBRATING, Phase.ARMED, Phase.STOPPED)


@dataclass(frozen=True, slots=True)
class CameraProgress:
    """Counters that show whether one camera makes progress."""

    rounds: int
    """Rounds of its inspection thread, with or without frames."""
    frames: int
    """Frames of this camera that were scored."""
    idle: bool
    """No frame is expected: the camera is lost and will be opened again, or the source is a folder or a file."""

    def advanced_since(self, earlier: CameraProgress | None) -> bool:
        """Whether there was progress since `earlier`; None stands for the start.

        >>> earlier = CameraProgress(rounds=5, frames=7, idle=False)
        >>> [CameraProgress(6, frames, False).advanced_since(earlier) for frames in (7, 8)]
        [False, True]
        >>> [CameraProgress(rounds, 7, True).advanced_since(earlier) for rounds in (5, 6)]
        [False, True]
        """
        if earlier is None:
            return self.frames > 0 or self.idle
        return self.rounds != earlier.rounds and (self.frames != earlier.frames or self.idle)


class WatchedAgent(Protocol):
    """The agent, as the watchdog sees it."""

    def progress(self) -> Mapping[str, CameraProgress]:
        """The progress of each camera, by name."""

    def states(self) -> Mapping[str, StatePayload]:
        """The state of each camera, by name."""


class Watchdog:
    """Reports to the service manager. For one thread."""

    def __init__(
        self,
        notifier: Notifier | None = None,
        restarts: RestartDelay | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Args:
        notifier: sends the messages; None for an agent that no service manager started: none are sent.
        restarts: counts failed starts; None: they are not counted.
        clock: monotonic seconds.
        sleep: waits before a start.
        """
        self._notifier = notifier or Notifier()
        self._restarts = restarts or RestartDelay(None)
        self._clock, self._sleep = clock, sleep
        self._ready = False
        self._progress: Mapping[str, CameraProgress] = {}
        """At the last keep-alive message."""
        self._phases: list[Phase] = []
        """In the last status line."""
        self._status_at = 0.0
        """When the last status line was sent."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Watchdog:
        """From NOTIFY_SOCKET and RUNTIME_DIRECTORY, which systemd sets for a service."""
        notifier = Notifier.from_environment(environment)
        directory = environment.get("RUNTIME_DIRECTORY", "").split(":")[0]
        return cls(notifier, RestartDelay(Path(directory) if directory and notifier.enabled else None))

    @property
    def enabled(self) -> bool:
        """Whether a service manager started this agent and expects messages."""
        return self._notifier.enabled

    def wait_before_start(self) -> None:
        """Wait, longer after each failed start in a row."""
        seconds = self._restarts.begin()
        if seconds > 0:
            self._notifier.extend_timeout(seconds + START_TIMEOUT_SECONDS)
            self._notifier.status(f"waiting {seconds:g} s: the last starts failed, see the log")
            self._sleep(seconds)

    def engine_opens(self, camera: str, engine: str) -> None:
        """An engine is about to be opened; it may have to be built first."""
        self._notifier.extend_timeout(ENGINE_TIMEOUT_SECONDS)
        self._notifier.status(f"{camera}: opening its engine ({engine})")

    def engine_builds(self, camera: str, fraction: float, step: str) -> None:
        """An engine is being built: extends the timeout of the start, with a status line, every few seconds."""
        now = self._clock()
        if now - self._status_at >= STATUS_SECONDS:
            self._status_at = now
            self._notifier.extend_timeout(ENGINE_TIMEOUT_SECONDS)
            self._notifier.status(f"{camera}: building its engine, {fraction:.0%} ({step})")

    def check(self, agent: WatchedAgent) -> None:
        """Report what has changed; call it several times a second."""
        if not self._notifier.enabled:
            return
        states = agent.states()
        self._report_status(states)
        if not self._ready and any(_is_working(state) for state in states.values()):
            self._ready = True
            self._notifier.ready()
            self._restarts.reset()
        self._keep_alive(agent.progress())

    def stopping(self) -> None:
        """The agent is about to end."""
        self._notifier.stopping()
        self._notifier.status("stopping")

    def ended_well(self) -> None:
        """The agent was stopped, or every frame is inspected: the next start need not wait."""
        self._restarts.reset()

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """Wrap the reload of the settings: systemd waits for its end, with an error or without."""
        if not self._ready:
            yield
            return
        self._notifier.reloading()
        try:
            yield
        finally:
            self._notifier.ready()

    def _keep_alive(self, progress: Mapping[str, CameraProgress]) -> None:
        """Reset systemd's watchdog; before the service is ready, extend the timeout of its start instead."""
        if not all(camera.advanced_since(self._progress.get(name)) for name, camera in progress.items()):
            return
        self._progress = progress
        if self._ready:
            self._notifier.watchdog()
        else:
            self._notifier.extend_timeout(START_TIMEOUT_SECONDS)

    def _report_status(self, states: Mapping[str, StatePayload]) -> None:
        phases, now = [state.phase for state in states.values()], self._clock()
        if phases != self._phases or now - self._status_at >= STATUS_SECONDS:
            self._phases, self._status_at = phases, now
            self._notifier.status("; ".join(status_text(state) for state in states.values()))


def _is_working(state: StatePayload) -> bool:
    return state.phase in WORKING_PHASES and state.frames > 0


def status_text(state: StatePayload) -> str:
    """One camera in a few words: phase, progress, frame rate, alarm, reason."""
    parts = [f"{state.camera} {state.phase.value.replace('_', ' ')}"]
    if state.progress is not None and state.phase in (Phase.STARTING, Phase.CALIBRATING):
        parts[0] += f" {state.progress.frames} of {state.progress.wanted} good frames"
    if state.phase is not Phase.CAMERA_LOST:
        parts.append(frame_rate_text(state.frames_per_second))
    if state.alarm is not None:
        parts.append("ALARM")
    if state.reason is not None:
        parts.append(state.reason)
    return ", ".join(parts)
