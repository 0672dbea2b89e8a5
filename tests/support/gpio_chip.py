"""A chip at the outermost boundary: it takes the place of `gpiod.request_lines`, and records every level.

No machine of the tests has lines, nor the kernel modules that simulate some. The events are files and times as the
kernel gives them; what the electronics make of a level is not tested anywhere here.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from gpiod.line import Direction, Value


@dataclass
class Chip:
    """Lines by offset or name; names have the offsets from 100 on."""

    config: dict[Any, Any] = field(default_factory=dict)
    """The settings of each line, as they were requested."""
    levels: list[tuple[float, Any, bool]] = field(default_factory=list)
    """Monotonic time, line and level of each change of an output."""
    error: Exception | None = None
    """Raised by a request for lines."""
    hold: threading.Event | None = None
    """A level is switched only once this is set."""
    released: bool = False

    def request_lines(self, path: str, config: dict[Any, Any], **_: Any) -> Chip:
        if self.error is not None:
            raise self.error
        self._read, self._write = os.pipe()
        self._events: deque[Any] = deque()
        self.released = False
        for line, settings in config.items():
            if settings.direction is Direction.OUTPUT:
                self.levels.append((time.monotonic(), line, settings.output_value is Value.ACTIVE))
        # Last: tests wait for it before they move a line.
        self.config = dict(config)
        return self

    # What a request offers

    @property
    def lines(self) -> list[Any]:
        return list(self.config)

    @property
    def offsets(self) -> list[int]:
        return [line if isinstance(line, int) else 100 + index for index, line in enumerate(self.config)]

    @property
    def fd(self) -> int:
        return self._read

    def set_values(self, values: dict[Any, Any]) -> None:
        if self.hold is not None:
            self.hold.wait(30)
        for line, value in values.items():
            self.levels.append((time.monotonic(), line, value is Value.ACTIVE))

    def read_edge_events(self, _: int) -> list[Any]:
        os.read(self._read, 4096)
        found = []
        while self._events:
            found.append(self._events.popleft())
        return found

    def release(self) -> None:
        self.released = True

    # For tests

    def edge(self, line: Any, at: float | None = None) -> float:
        """An edge of an input; its monotonic time."""
        at = time.monotonic() if at is None else at
        offset = dict(zip(self.lines, self.offsets, strict=True))[line]
        self._events.append(SimpleNamespace(line_offset=offset, timestamp_ns=int(at * 1e9)))
        os.write(self._write, b"e")
        return at

    def level(self, line: Any) -> bool | None:
        """The present level; None before the first."""
        found = [on for _, each, on in self.levels if each == line]
        return found[-1] if found else None

    def changes(self, line: Any) -> list[tuple[float, bool]]:
        """Times and levels of real changes, without the first level."""
        found = [(at, on) for at, each, on in self.levels if each == line]
        return [after for before, after in itertools.pairwise(found) if before[1] is not after[1]]
