"""Limits how fast passwords can be tried: per name and for the whole page."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

# Five mistakes are human. Each further one has to wait for the oldest to be this old.
FAILURES = 5
WINDOW_SECONDS = 300.0

# For all names together, so that many names cannot be tried either: at 60 ms each, 4 s of a core per window.
FAILURES_OF_ALL = 60

_MOST_NAMES = 1000


class LoginLimit:
    """Counts failed logins. A name that nobody fails at is never delayed because of others below the common limit."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=FAILURES_OF_ALL)

    def wait_seconds(self, name: str) -> int:
        """How long this name has to wait before its password is checked; 0: not at all."""
        now = self._clock()
        failures = self._failures.get(name, ())
        waits = [0.0]
        if len(failures) >= FAILURES:
            waits.append(failures[-FAILURES] + WINDOW_SECONDS - now)
        if len(self._all) >= FAILURES_OF_ALL:
            waits.append(self._all[0] + WINDOW_SECONDS - now)
        return math.ceil(max(waits))

    def failed(self, name: str) -> None:
        """A password was wrong."""
        now = self._clock()
        self._all.append(now)
        self._failures.setdefault(name, deque(maxlen=FAILURES)).append(now)
        self._failures.move_to_end(name)
        while len(self._failures) > _MOST_NAMES:
            self._failures.popitem(last=False)

    def succeeded(self, name: str) -> None:
        """The person is in: earlier mistakes of this name are forgotten, and this login was none for the whole page."""
        failures = self._failures.pop(name, None)
        if failures:
            with suppress(ValueError):  # the oldest leave where there are many
                self._all.remove(failures[-1])
