"""The latest document of each topic, within limits on their number and size."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from agent.fleet.broker.topic_tree import Place

# A state has 2 kB, the numbers of a hundred products 20 kB.
MAX_DOCUMENT_BYTES = 64 * 1024

# 5,000 cameras have 20 MB.
MAX_KEPT_BYTES = 64 * 2**20

# Kinds of documents of which the latest counts: those of one camera, and of its agent.
_KINDS = 3


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it arrived."""

    payload: bytes
    live: bool
    """It arrived when it was published; False for one that the broker had kept."""
    arrived_at: float
    """Unix time, seconds."""
    arrived: float
    """Monotonic seconds."""


class Documents:
    """Written by the thread of the connection, read by the page."""

    def __init__(self, max_cameras: int) -> None:
        """`max_cameras`: agents that report no camera count as one."""
        self._lock = threading.Lock()
        self._most = max_cameras * _KINDS
        self._kept: dict[tuple[str, str | None, str], Document] = {}
        self._changed: dict[tuple[str, str | None, str], Place] = {}
        self._bytes = 0
        self.beyond = 0
        """Documents that were not taken, since there are too many."""

    def put(self, place: Place, document: Document) -> bool:
        """Keep the latest document of a topic; an empty one removes it. False: it is beyond the limits."""
        key = (place.agent, place.camera, place.document)
        with self._lock:
            before = self._kept.get(key)
            if not document.payload:
                if self._kept.pop(key, None) is not None:
                    self._changed[key] = place
            elif not self._fits(before, document):
                self.beyond += 1
                return False
            else:
                self._kept[key] = document
                self._changed[key] = place
            self._bytes += len(document.payload) - (0 if before is None else len(before.payload))
        return True

    def take_changed(self) -> list[tuple[Place, Document | None]]:
        """What has changed since the last call; None for a document that was removed."""
        with self._lock:
            changed, self._changed = self._changed, {}
            return [(place, self._kept.get(key)) for key, place in changed.items()]

    def get(self, agent: str, camera: str | None, document: str) -> Document | None:
        """The latest document; None where there is none."""
        with self._lock:
            return self._kept.get((agent, camera, document))

    def _fits(self, before: Document | None, document: Document) -> bool:
        more = len(document.payload) - (0 if before is None else len(before.payload))
        return self._bytes + more <= MAX_KEPT_BYTES and (before is not None or len(self._kept) < self._most)
