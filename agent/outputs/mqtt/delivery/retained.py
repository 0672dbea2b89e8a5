"""The retained documents: the latest of each topic, published again on every connection."""

from __future__ import annotations

from collections.abc import Callable


class RetainedDocuments:
    """Any thread may `put`. Each connection remembers which versions it has sent: the broker may have lost them.

    An empty document removes what the broker keeps on that topic; it is sent until it is acknowledged once.
    """

    def __init__(self) -> None:
        self._documents: dict[str, tuple[int, bytes]] = {}
        self._acknowledged: dict[str, int] = {}
        self._expiry: dict[str, int] = {}
        # By topic: a version that has to be sent before the latest.
        self._previous: dict[str, tuple[int, bytes]] = {}
        self.on_removed: Callable[[str], None] = lambda topic: None
        """Called on the publisher's thread with a topic on which the broker keeps no document any more."""

    def put(
        self, topic: str, payload: bytes, *, after_previous: bool = False, expiry_seconds: int | None = None
    ) -> None:
        """Args:
        topic: of the document.
        payload: the document; empty removes it.
        after_previous: subscribers get the previous document too, if the broker has not acknowledged it yet.
        expiry_seconds: the broker drops it after so long; None: it keeps it.
        """
        if expiry_seconds is not None:
            self._expiry[topic] = expiry_seconds
        version, old = self._documents.get(topic, (0, None))
        if payload != old:
            if after_previous and old is not None and self._acknowledged.get(topic, 0) < version:
                self._previous[topic] = (version, old)
            self._documents[topic] = (version + 1, payload)

    def acknowledged(self, topic: str, version: int) -> None:
        """The broker has this version."""
        self._acknowledged[topic] = version
        self._previous.pop(topic, None)
        if self._documents.get(topic) == (version, b""):
            del self._documents[topic]
            self.on_removed(topic)

    def expiry_of(self, topic: str) -> int | None:
        """After how many seconds the broker drops the document on this topic; None: it keeps it."""
        return self._expiry.get(topic)

    def newer_than(self, sent: dict[str, int]) -> list[tuple[str, int, bytes]]:
        """Topic, version and document of everything whose version differs from that in `sent`, by topic."""
        documents = list({**self._documents, **self._previous}.items())
        return [(topic, version, payload) for topic, (version, payload) in documents if sent.get(topic) != version]
