"""Documents that cannot be read: counted, and the latest of them named."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from agent.core.printable import printable

# More would fill a screen and help nobody.
NAMED = 50

MAX_REASON_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Fault:
    """What was wrong on one topic, the last time."""

    reason: str
    count: int
    at: float
    """Unix time, seconds."""


class Faults:
    """Counts faults, and keeps the latest of the topics that had one last. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: OrderedDict[str, Fault] = OrderedDict()
        self.count = 0
        """Since the start."""

    def add(self, topic: str, reason: str, at: float) -> None:
        """A message on this topic was not taken; `at` is Unix time."""
        shown, reason = printable(topic[:MAX_REASON_LENGTH]), printable(reason[:MAX_REASON_LENGTH])
        with self._lock:
            self.count += 1
            before = self._latest.pop(shown, None)
            self._latest[shown] = Fault(reason, 1 if before is None else before.count + 1, at)
            if len(self._latest) > NAMED:
                self._latest.popitem(last=False)

    def named(self) -> list[dict[str, Any]]:
        """The latest first."""
        with self._lock:
            latest = list(reversed(self._latest.items()))
        return [
            {"topic": topic, "reason": fault.reason, "count": fault.count, "at": fault.at} for topic, fault in latest
        ]
