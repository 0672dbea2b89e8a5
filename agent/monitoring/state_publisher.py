"""The retained state of each camera: published at once where it changed, else every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.clock import utc_now
from agent.inspection import CameraLine
from agent.messages import StatePayload
from agent.monitoring.camera_state import state_payload
from agent.outputs import Output

# How often a state is published though nothing but counters changed.
REPEAT_SECONDS = 5.0

# Fields of the state that change with every frame: alone they are no reason to publish before the repeat.
COUNTING_FIELDS = frozenset({"at", "frames", "dropped", "frames_per_second", "latency_ms"})


class StatePublisher:
    """Knows how the cameras are, and tells the broker. For any thread."""

    def __init__(self, site: str, lines: Mapping[str, CameraLine], outputs: Sequence[Output]) -> None:
        """`lines`: by camera."""
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._published: dict[str, tuple[float, dict[str, Any]]] = {}
        self._publishing = threading.Lock()

    def now(self) -> dict[str, StatePayload]:
        """The state of each camera, by name."""
        return {line.name: self._state(line) for line in self._lines.values()}

    def publish_all(self, *, final: bool = False) -> None:
        """Of each camera, as `publish`."""
        for line in self._lines.values():
            self.publish(line, final=final)

    def publish(self, line: CameraLine, *, final: bool = False) -> None:
        """At once where it changed or is the `final` one, else every few seconds."""
        # Two threads come here: without the lock, the one that looked first could publish last.
        with self._publishing:
            payload, now = self._state(line), time.monotonic()
            document = payload.model_dump(exclude=set(COUNTING_FIELDS))
            since, known = self._published.get(line.name, (0.0, {}))
            if final or document != known or now - since >= REPEAT_SECONDS:
                self._published[line.name] = (now, document)
                for output in self._outputs:
                    output.publish_state(payload)

    def _state(self, line: CameraLine) -> StatePayload:
        return state_payload(self._site, line, utc_now())
