"""What a session goes by: retained documents, notices, rows under suspicion, room for images."""

from __future__ import annotations


class RetainedDocuments:
    """The retained documents: the latest of each topic. What the broker forgot, it is told again on every connect."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}

    def put(self, topic: str, payload: bytes) -> None:
        version, old = self._documents.get(topic, (0, b""))
        if payload != old:
            self._documents[topic] = (version + 1, payload)

    def newer_than(self, sent: dict[str, int]) -> list[tuple[str, int, bytes]]:
        """Topic, version and document of all that is not `sent`."""
        documents = list(self._documents.items())
        return [(topic, version, payload) for topic, (version, payload) in documents if sent.get(topic) != version]
