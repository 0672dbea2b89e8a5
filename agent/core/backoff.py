"""Waiting longer after every failure, so that a dead camera or broker costs nothing."""

from __future__ import annotations

import random


class Backoff:
    """Exponential back-off with jitter: each wait is drawn from the upper half of a bound that doubles.

    The jitter keeps a hall full of agents from knocking at the same moment after a power cut.
    """

    def __init__(self, first_seconds: float, max_seconds: float, chance: random.Random | None = None) -> None:
        """Args:
        first_seconds, max_seconds: bound of the first wait, and of the longest.
        chance: source of the jitter.
        """
        self._first = first_seconds
        self._max = max_seconds
        self._chance = chance or random.Random()
        self._bound = first_seconds

    def next_seconds(self) -> float:
        """How long to wait now, seconds; doubles the next bound."""
        bound, self._bound = self._bound, min(2.0 * self._bound, self._max)
        return bound * self._chance.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin again with the shortest wait."""
        self._bound = self._first
