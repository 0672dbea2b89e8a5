"""Publishes the state of each camera: at once after a change, else every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.core.clock import utc_now
from agent.core.records import Phase
from agent.inspection import CameraLine
from agent.messages import StatePayload
from agent.monitoring.camera_state import state_payload
from agent.outputs import Output, PartCounts
from agent.review import PromiseStatus

# How often a state is published though only its counters changed.
REPEAT_SECONDS = 5.0

# Fields that change with every frame. Alone, they wait for the next repeat.
COUNTING_FIELDS = frozenset(
    {
        "at",
        "frames",
        "dropped",
        "parts",
        "shift_parts",
        "passed_by_rule",
        "damaged",
        "transport",
        "left_out",
        "without_part",
        "frames_per_second",
        "latency_ms",
        "certificate",
    }
)


class StatePublisher:
    """Reads the states of the cameras and publishes them on every output. Any thread may call."""

    def __init__(
        self,
        site: str,
        lines: Mapping[str, CameraLine],
        outputs: Sequence[Output],
        promise: Callable[[str], PromiseStatus | None] = lambda _: None,
        *,
        counts: PartCounts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        site: for the documents.
        lines: every camera, by name; may be filled later.
        outputs: get the states.
        promise: the state of a camera's promise; None before its first judged frame.
        counts: the parts in numbers; None where no camera has parts.
        clock: monotonic seconds.
        """
        self._counts = counts
        self._site = site
        self._lines = lines
        self._outputs = outputs
        self._promise = promise
        self._clock = clock
        self._published: dict[str, tuple[float, dict[str, Any]]] = {}
        self._publishing = threading.Lock()
        self._final: set[str] = set()

    def now(self) -> dict[str, StatePayload]:
        """The current state of each camera, by name."""
        return {line.name: self._state(line) for line in self._lines.values()}

    def publish_all(self, *, final: bool = False) -> None:
        """Publish the state of each camera, as `publish` does; the last change before the `final` one too."""
        for line in self._lines.values():
            if final:
                self.publish(line)
            self.publish(line, final=final)

    def publish(self, line: CameraLine, *, final: bool = False) -> None:
        """Publish the state of a camera if it changed, or was not published for REPEAT_SECONDS.

        `final`: the agent stops. The broker keeps this state, so it is `stopped`, and nothing follows it.
        """
        # Two threads call this. Without the lock, an older state could be published after a newer one.
        with self._publishing:
            if line.name in self._final and not final:
                return
            payload, now = self._state(line), self._clock()
            if final:
                self._final.add(line.name)
                payload = _stopped(payload)
            document = payload.model_dump(exclude=set(COUNTING_FIELDS))
            published_at, known = self._published.get(line.name, (0.0, {}))
            if final or document != known or now - published_at >= REPEAT_SECONDS:
                self._published[line.name] = (now, document)
                for output in self._outputs:
                    output.publish_state(payload)

    def _state(self, line: CameraLine) -> StatePayload:
        return state_payload(self._site, line, utc_now(), self._promise(line.name), self._counts)


def _stopped(state: StatePayload) -> StatePayload:
    """The state of a camera whose agent stops. A camera that failed for good, or has ended, keeps its reason."""
    reason = state.reason if state.phase in (Phase.STOPPED, Phase.CAMERA_LOST) else None
    stopped = {"phase": Phase.STOPPED, "reason": reason or "the agent was stopped", "frames_per_second": 0.0}
    return state.model_copy(update={**stopped, "progress": None})
