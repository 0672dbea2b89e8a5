"""Telemetry at QoS 0: the latest of each topic, a few times a second, dropped without a connection."""

from __future__ import annotations

import threading

# Shortest interval between two messages of one topic; those in between are replaced by the latest.
TELEMETRY_INTERVAL_SECONDS = 0.05


class Telemetry:
    """What is to be sent at QoS 0. Any thread may put, one thread takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: dict[str, bytes] = {}
        self._sent_at: dict[str, float] = {}

    def put(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._latest[topic] = payload

    def take_due(self, now: float) -> dict[str, bytes]:
        """By topic, the payloads that may be sent at `now`, monotonic seconds."""
        with self._lock:
            due = [t for t in self._latest if now - self._sent_at.get(t, -1.0) >= TELEMETRY_INTERVAL_SECONDS]
            self._sent_at.update(dict.fromkeys(due, now))
            return {topic: self._latest.pop(topic) for topic in due}
