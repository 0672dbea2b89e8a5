"""The retained documents: the latest of each topic, published again on every connection."""

from __future__ import annotations


class RetainedDocuments:
    """Any thread may `put`. Each connection remembers which versions it has sent: the broker may have lost them."""

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}

    def put(self, topic: str, payload: bytes) -> None:
        version, old = self._documents.get(topic, (0, b""))
        if payload != old:
            self._documents[topic] = (version + 1, payload)

    def newer_than(self, sent: dict[str, int]) -> list[tuple[str, int, bytes]]:
        """Topic, version and document of everything whose version differs from that in `sent`, by topic."""
        documents = list(self._documents.items())
        return [(topic, version, payload) for topic, (version, payload) in documents if sent.get(topic) != version]
