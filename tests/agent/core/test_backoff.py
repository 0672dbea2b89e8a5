"""Exponential back-off: bounds, jitter, reset."""

from __future__ import annotations

import random

from agent.core.backoff import Backoff


def test_waits_double_up_to_the_maximum_with_jitter_below_the_bound() -> None:
    backoff = Backoff(0.25, 1.0, random.Random(1))
    waits = [backoff.next_seconds() for _ in range(50)]
    for wait, bound in zip(waits, [0.25, 0.5] + [1.0] * 48, strict=True):
        assert bound / 2 <= wait <= bound
    assert len(set(waits)) == len(waits), "agents that fail together must not retry together"


def test_reset_starts_again_with_the_shortest_wait() -> None:
    backoff = Backoff(0.25, 60.0, random.Random(1))
    assert max(backoff.next_seconds() for _ in range(8)) > 10.0
    backoff.reset()
    assert backoff.next_seconds() <= 0.25
