"""One-off messages, kept in memory until their PUBACK."""

from __future__ import annotations

import itertools
from collections import Counter

from agent.mqtt import Outgoing

# Notices kept in memory: a drift event has half a kilobyte, and a camera has one in days.
MAX_NOTICES = 100

# A notice that was in flight this often when the connection ended may be the reason; alarms wait behind it.
NOTICE_ATTEMPTS = 3


class Notices:
    """Messages that are kept while the broker is away, but not stored on the disk.

    Of each retained topic only the latest is kept. Beyond MAX_NOTICES the oldest are dropped: they are outdated by
    then, and the retained documents have the current state. Any thread may `put`; the rest is for one thread.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Outgoing] = {}
        self._attempts: Counter[int] = Counter()
        self._numbers = itertools.count()

    def put(self, message: Outgoing) -> None:
        if message.retain:
            for number, waiting in list(self._waiting.items()):
                if waiting.topic == message.topic:
                    self._waiting.pop(number, None)
        self._waiting[next(self._numbers)] = message
        while len(self._waiting) > MAX_NOTICES:
            self._waiting.pop(next(iter(self._waiting)))

    def first(self) -> tuple[int, Outgoing] | None:
        """Number and message of the oldest notice; None if there is none."""
        return next(iter(list(self._waiting.items())), None)

    def may_be_sent(self, number: int) -> bool:
        """Count an attempt; False if there have been too many."""
        self._attempts[number] += 1
        return self._attempts[number] <= NOTICE_ATTEMPTS

    def remove(self, number: int) -> None:
        """The notice is delivered or given up."""
        self._waiting.pop(number, None)
        self._attempts.pop(number, None)

    def __len__(self) -> int:
        return len(self._waiting)
