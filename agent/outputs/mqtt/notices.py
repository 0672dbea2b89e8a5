"""One-off messages, kept in memory until their PUBACK."""

from __future__ import annotations

import itertools
from collections import Counter

from agent.outputs.mqtt.packets import Outgoing

# Notices kept in memory: a drift event is half a kilobyte, and a camera has one in days.
MAX_NOTICES = 100


# A notice that was on its way this often when the connection ended may well be why it did; alarms wait behind it.
NOTICE_ATTEMPTS = 3


class Notices:
    """Messages worth the wait for a broker that is away, but no place on disk: each is kept until its PUBACK.

    Of a retained topic the latest only. Beyond MAX_NOTICES the oldest give way: what they tell of is old by then, and
    the retained documents know how things stand.
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
        """Number and message of the one that waits longest."""
        return next(iter(list(self._waiting.items())), None)

    def may_be_sent(self, number: int) -> bool:
        """Counts an attempt; False where there have been enough."""
        self._attempts[number] += 1
        return self._attempts[number] <= NOTICE_ATTEMPTS

    def settle(self, number: int) -> None:
        """It has arrived, or never will."""
        self._waiting.pop(number, None)
        self._attempts.pop(number, None)

    def __len__(self) -> int:
        return len(self._waiting)
