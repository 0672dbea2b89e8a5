"""A source that fails and delivers as a test wants."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TypeAlias

from agent.core.records import Image
from agent.sources.source import Captured, EndOfStream, FrameSource

Step: TypeAlias = "Image | Exception"


class ScriptedSource(FrameSource):
    """A source that follows a script: `read` returns or raises the next of `steps`, `open` raises that of `opens`."""

    live = False

    def __init__(self, steps: Iterable[Step], opens: Iterable[Exception | None] = ()) -> None:
        super().__init__()
        self._steps = deque(steps)
        self._opens = deque(opens)
        self.opened = self.closed = 0

    def describe(self) -> str:
        return "script"

    def _open(self) -> None:
        fault = self._opens.popleft() if self._opens else None
        if fault is not None:
            raise fault
        self.opened += 1

    def _read(self) -> Captured:
        step = self._steps.popleft() if self._steps else EndOfStream()
        if isinstance(step, Exception):
            raise step
        return Captured(step, datetime.now(timezone.utc), 1.0, "file.png")

    def _close(self) -> None:
        self.closed += 1
