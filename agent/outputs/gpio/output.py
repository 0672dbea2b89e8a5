"""The output for digital lines: a thread that alone owns the lines, and what other threads pass to it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.core.errors import Temporary
from agent.core.ids import new_id
from agent.core.problems import Problems
from agent.core.records import Part
from agent.messages import Execute, InspectRequest, StatePayload
from agent.outputs.gpio.gate import MOST_WAITING, Gate
from agent.outputs.gpio.lights import lights
from agent.outputs.gpio.settings import GpioSettings
from agent.outputs.outbox import Outbox
from agent.outputs.showing_output import ShowingOutput

if TYPE_CHECKING:
    from agent.outputs.gpio.lines import InputEvent, Lines

log = logging.getLogger(__name__)

# How often lights follow the states when nothing else happens.
IDLE_SECONDS = 0.1

# Between attempts to get the lines.
RETRY_SECONDS = 2.0

# A part that could not be rejected is shown for so long.
MISSED_SECONDS = 10.0

# Pulses that are remembered, to find where a part was when it was seen.
MOST_PULSES = 20_000


class GpioOutput(ShowingOutput):
    """Shows states on lights, rejects parts, and takes triggers."""

    def __init__(self, name: str, settings: GpioSettings, *, site: str, outbox: Outbox, problems: Problems) -> None:
        super().__init__(name, outbox)
        self._settings = settings
        self._problems = problems
        self._cameras: list[str] = []
        self._states: dict[str, tuple[float, StatePayload]] = {}
        self._results: deque[Part] = deque()
        self._starts: OrderedDict[str, float] = OrderedDict()
        """When parts were triggered here, monotonic seconds, by their ids."""
        self._pulses: deque[float] = deque(maxlen=MOST_PULSES)
        self._count = 0
        """Pulses of the encoder since the start."""
        self._gate = _gate(settings)
        self._missed_until = 0.0
        self._shown: dict[str, bool] = {}
        self._execute: Execute | None = None
        self._triggers = ThreadPoolExecutor(1, thread_name_prefix="gpio-trigger")
        self._connected = False
        # Open for as long as the output: a wake-up must not meet a descriptor that is somebody else's by now.
        self._waker, self._wake_end = socket.socketpair()
        self._waker.setblocking(False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"gpio-{name}", daemon=True)

    @property
    def destination(self) -> str:
        return f"gpio:{self._settings.chip}"

    def announce(self, cameras: Mapping[str, str]) -> None:
        self._cameras = list(cameras)

    def serve_commands(self, execute: Execute) -> None:
        self._execute = execute

    def start(self) -> None:
        self._thread.start()

    def stop(self, deadline_seconds: float) -> bool:
        self._stopping.set()
        self._triggers.shutdown(wait=False, cancel_futures=True)
        self._wake()
        if self._thread.is_alive():
            self._thread.join(deadline_seconds)
        return not self._thread.is_alive()

    def publish_state(self, state: StatePayload) -> None:
        self._states = {**self._states, state.camera: (time.monotonic(), state)}
        self._wake()

    def show_result(self, part: Part) -> None:
        reject = self._settings.reject
        wanted = None if reject is None else reject.camera or next(iter(self._cameras), None)
        if part.camera == wanted:
            self._results.append(part)
            self._wake()

    @property
    def connected(self) -> bool:
        return self._connected

    def _wake(self) -> None:
        """Never waits: a full buffer wakes the thread as well."""
        with suppress(BlockingIOError):
            self._waker.send(b"w")

    # The thread

    def _run(self) -> None:
        failed = False
        while not self._stopping.is_set():
            try:
                self._use_lines()
            except Temporary as error:
                text = f"output {self.name}: {error}"
                log.log(logging.DEBUG if failed else logging.ERROR, "%s; trying again", text)
                self._problems.set(f"output {self.name}", text)
                failed = True
                self._stopping.wait(RETRY_SECONDS)
            except Exception:
                log.exception("output %s: unexpected error, trying again", self.name)
                self._stopping.wait(RETRY_SECONDS)

    def _use_lines(self) -> None:
        from agent.outputs.gpio.lines import Lines

        lines = Lines(self._settings)
        self._connected = True
        self._problems.set(f"output {self.name}", None)
        self._shown = {}
        log.info("output %s: lines of %s are in use", self.name, self._settings.chip)
        try:
            while not self._stopping.is_set():
                self._take_inputs(lines.wait(self._wait_seconds(), self._wake_end))
                self._take_results()
                self._show(lines)
        finally:
            self._connected = False
            lines.close()

    def _wait_seconds(self) -> float:
        if self._gate is None:
            return IDLE_SECONDS
        found = self._gate.wait_seconds(time.monotonic(), timed=not self._by_encoder)
        return IDLE_SECONDS if found is None else min(found, IDLE_SECONDS)

    @property
    def _by_encoder(self) -> bool:
        return self._settings.reject is not None and self._settings.reject.encoder is not None

    def _take_inputs(self, events: list[InputEvent]) -> None:
        for event in events:
            if event.line == "encoder":
                self._count += 1
                self._pulses.append(event.at)
            elif event.line == "trigger":
                self._trigger(event.at)

    def _take_results(self) -> None:
        reject, gate = self._settings.reject, self._gate
        while self._results and reject is not None and gate is not None:
            part = self._results.popleft()
            started = self._starts.pop(part.part, part.started_monotonic)
            if part.verdict.value not in reject.on:
                continue
            if self._settings.dry_run:
                log.info("dry run: camera %s, part %s: would be rejected", part.camera, part.part)
            now = time.monotonic()
            start, place = (self._count_at(started), float(self._count)) if self._by_encoder else (started, now)
            if not gate.reject(start, place):
                self._missed(part, now)

    def _count_at(self, at: float) -> float:
        """Pulses of the encoder up to a time, monotonic seconds."""
        return float(self._count - (len(self._pulses) - bisect_right(self._pulses, at)))

    def _missed(self, part: Part, now: float) -> None:
        """It is past the gate, which would take another part."""
        text = f"part {part.part} of camera {part.camera} could not be rejected: its result came after it had passed"
        log.error("output %s: %s; wanted a longer way to the gate, or a faster camera", self.name, text)
        self._problems.set(f"output {self.name} reject", text)
        self._missed_until = now + MISSED_SECONDS

    def _show(self, lines: Lines) -> None:
        now = time.monotonic()
        missed = now < self._missed_until
        if not missed and self._missed_until:
            self._missed_until = 0.0
            self._problems.set(f"output {self.name} reject", None)
        wanted = lights(self._cameras, self._states, now, missed=missed)
        if self._gate is not None:
            wanted["gate"] = self._gate.is_open(float(self._count) if self._by_encoder else now, now)
        changed = {
            name: on
            for name, on in wanted.items()
            if name in self._settings.outputs and self._shown.get(name) is not on
        }
        if changed and self._settings.dry_run:
            log.info("dry run: %s", ", ".join(f"{name} {'on' if on else 'off'}" for name, on in changed.items()))
        elif changed:
            lines.switch(changed)
        self._shown.update(changed)

    # Triggers

    def _trigger(self, at: float) -> None:
        camera = self._settings.trigger.camera if self._settings.trigger is not None else None
        camera = camera or next(iter(self._cameras), None)
        if camera is None or self._execute is None:
            return
        part = new_id()
        self._starts[part] = at
        while len(self._starts) > MOST_WAITING:
            self._starts.popitem(last=False)
        try:
            self._triggers.submit(self._inspect, self._execute, camera, part)
        except RuntimeError:
            log.debug("the agent stops")

    def _inspect(self, execute: Execute, camera: str, part: str) -> None:
        """Carry out the command `inspect`, which waits for the inspection thread; on the thread of the triggers."""
        request = InspectRequest(part=part).model_dump_json(by_alias=True, exclude_none=True).encode()
        response = execute("inspect", camera, request, by=f"output {self.name}")
        if not response.ok:
            log.warning("output %s: trigger of camera %s rejected: %s", self.name, camera, response.error)


def _gate(settings: GpioSettings) -> Gate | None:
    reject = settings.reject
    if reject is None:
        return None
    distance: float | None = None if reject.delay_ms is None else reject.delay_ms / 1000.0
    if reject.distance_pulses is not None:
        distance = float(reject.distance_pulses)
    return Gate(reject.pulse_ms / 1000.0, distance)
