"""Remembers on which topics the broker keeps documents of this agent: those of removed cameras have to go."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Collection

from agent.core.errors import InspectdError
from agent.outputs.outbox import Outbox

log = logging.getLogger(__name__)


class RetainedTopics:
    """The topics of one output, in the outbox's state. Any thread may call.

    A list of another broker or another place in the topic tree is forgotten: its topics may be those of another agent.
    """

    def __init__(self, outbox: Outbox, output: str, place: str) -> None:
        """`place`: broker and topics, as `OutputSection.place` gives them."""
        self._outbox = outbox
        self._key = f"retained/{output}"
        self._place = place
        self._lock = threading.Lock()
        self._topics: set[str] = set()

    def replace(self, topics: Collection[str]) -> list[str]:
        """These are the topics from now on; returns those that are no longer among them, and remembers both."""
        with self._lock:
            known = self._read()
            self._topics = known | set(topics)
            if self._topics != known:
                self._write()
            return sorted(known - set(topics))

    def removed(self, topic: str) -> None:
        """The broker keeps no document on this topic any more."""
        with self._lock:
            self._topics.discard(topic)
            self._write()

    def _read(self) -> set[str]:
        """Empty if there is no list, or none that can be read."""
        try:
            stored = json.loads(self._outbox.state().get(self._key) or b"{}")
            return set(map(str, stored["topics"])) if stored.get("place") == self._place else set()
        except (InspectdError, ValueError, TypeError, AttributeError, KeyError) as error:
            log.warning("documents of removed cameras stay on the broker: %s", error)
            return set()

    def _write(self) -> None:
        """A failure is harmless: documents are removed once more after the next start."""
        stored = {"place": self._place, "topics": sorted(self._topics)}
        try:
            self._outbox.save_state({self._key: json.dumps(stored).encode()})
        except InspectdError as error:
            log.debug("retained topics are not stored: %s", error)
