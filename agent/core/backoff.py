"""Exponential back-off for reconnects and retries, so that a dead camera or broker costs next to nothing."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off with jitter: each wait is drawn from the upper half of a bound that doubles.

    The jitter keeps many agents from reconnecting at the same moment after a power cut.
    """

    def __init__(self, first_seconds: float, max_seconds: float, random_source: random.Random | None = None) -> None:
        """Args:
        first_seconds: upper bound of the first wait.
        max_seconds: upper bound of the longest wait.
        random_source: source of the jitter; None: seeded by the system.
        """
        self._first = first_seconds
        self._max = max_seconds
        self._random = random_source or random.Random()
        self._bound = first_seconds

    def next_seconds(self) -> float:
        """How long to wait before the next attempt, seconds. Doubles the bound, up to the maximum."""
        bound, self._bound = self._bound, min(2.0 * self._bound, self._max)
        return bound * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """An attempt succeeded: the next wait is the shortest again."""
        self._bound = self._first
