"""The latest results and alarms in memory, for a process beside the agent that shows them to others."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from agent.core.ids import new_id
from agent.core.records import Alarm, Part

# A reader that was away for 20 s at 100 parts a second finds all of them again. A result takes half a kilobyte.
MOST_EVENTS = 2000


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """A result or an alarm, with the number under which readers ask for the next ones."""

    number: int
    """Counted from 1 since the agent started, without gaps."""
    id: str
    """Of the result, the same as in its message; of the alarm."""
    happened: Part | Alarm


class RecentEvents:
    """Takes in events from any thread and gives them to any number of readers; it never waits for a reader.

    >>> events = RecentEvents(most=2)
    >>> [event.number for event in events.after(0, wait_seconds=0.0)]
    []
    """

    def __init__(self, most: int = MOST_EVENTS) -> None:
        """`most`: how many are kept; the oldest ones go first."""
        self.run = new_id()
        """Id of this run of the agent: another one means that the numbers begin again."""
        self._news = threading.Condition()
        self._kept: deque[RecentEvent] = deque(maxlen=most)
        self._number = 0

    def add(self, happened: Part | Alarm, identity: str) -> None:
        """Take in an event, and wake the readers that wait for it."""
        with self._news:
            self._number += 1
            self._kept.append(RecentEvent(self._number, identity, happened))
            self._news.notify_all()

    def latest(self) -> int:
        """Number of the latest event; 0 before the first."""
        with self._news:
            return self._number

    def after(self, number: int, *, wait_seconds: float) -> list[RecentEvent]:
        """The events after this number, oldest first; waits for one if there is none. May be empty."""
        with self._news:
            self._news.wait_for(lambda: self._number > number, wait_seconds)
            return [event for event in self._kept if event.number > number]
