"""Bounds on what a flood of commands may cost: of responses, of log lines, and of the time that reading takes."""

from __future__ import annotations

import logging
import threading

log = logging.getLogger(__name__)

# Commands taken at most: people send one at a time, a program that manages a plant a few a second. Beyond it the agent
# unsubscribes for a while, since each command that is only read delays the broker's acknowledgement of an alarm.
COMMANDS_PER_SECOND = 50.0
COMMANDS_AT_ONCE = 300
PAUSE_SECONDS = 5.0

# How long `status` reports a flood after the latest pause.
REPORTED_SECONDS = 60.0

# Rejections that get a response and a log line each; more are counted, and logged together this often.
REJECTIONS_PER_SECOND = 5.0
REJECTIONS_AT_ONCE = 20
SUMMARY_SECONDS = 10.0


class RateLimit:
    """A token bucket. Any thread may call.

    >>> limit = RateLimit(2.0, at_once=2)
    >>> [limit.allows(now) for now in (0.0, 0.0, 0.0, 0.4, 0.5, 9.0, 9.0, 9.0)]
    [True, True, False, False, True, True, True, False]
    """

    def __init__(self, per_second: float, *, at_once: int) -> None:
        self._per_second = per_second
        self._at_once = float(at_once)
        self._tokens = self._at_once
        self._updated_at: float | None = None
        self._lock = threading.Lock()

    def allows(self, now: float) -> bool:
        """Whether one more may pass at `now`, monotonic seconds; if so, it is counted."""
        with self._lock:
            passed = 0.0 if self._updated_at is None else now - self._updated_at
            self._updated_at = now
            self._tokens = min(self._tokens + passed * self._per_second, self._at_once)
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True


class Rejections:
    """Which rejected commands get a response and a log line of their own; the others are summed up in the log."""

    def __init__(self) -> None:
        self._limit = RateLimit(REJECTIONS_PER_SECOND, at_once=REJECTIONS_AT_ONCE)
        self._lock = threading.Lock()
        self._silent = 0
        self._reason = ""
        self._summarised_at = 0.0

    def allows(self, reason: str, now: float) -> bool:
        """Whether this rejection may be answered and logged; if not, it is counted."""
        if self._limit.allows(now):
            return True
        self.count(reason)
        return False

    def count(self, reason: str) -> None:
        """A command is dropped without a response."""
        with self._lock:
            self._silent += 1
            self._reason = reason

    def summarise(self, now: float) -> None:
        """Log how many were dropped, every SUMMARY_SECONDS."""
        with self._lock:
            if self._silent == 0 or now - self._summarised_at < SUMMARY_SECONDS:
                return
            silent, reason, self._silent, self._summarised_at = self._silent, self._reason, 0, now
        log.warning("%d commands dropped without a response, the latest: %s", silent, reason)
