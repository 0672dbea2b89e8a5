"""Messages to the agent: which handler gets which, and where responses may go."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Collection

from agent.mqtt import CommandMessage

log = logging.getLogger(__name__)

# MQTT allows 65,535 bytes (MQTT 5, 4.7.3); a response topic this long is a mistake or an attack.
MAX_RESPONSE_TOPIC_BYTES = 1024

MessageHandler = Callable[[CommandMessage], None]


class Subscriptions:
    """Topic filters and their handlers. Any thread may add; the publisher's thread calls the handlers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[str, MessageHandler] = {}
        self._new: deque[str] = deque()
        self._dropped: deque[str] = deque()

    def add(self, topic_filter: str, handler: MessageHandler) -> None:
        with self._lock:
            self._handlers[topic_filter] = handler
            self._new.append(topic_filter)

    def remove(self, topic_filter: str) -> None:
        with self._lock:
            self._handlers.pop(topic_filter, None)
            self._dropped.append(topic_filter)

    def all_filters(self) -> list[str]:
        """All filters, for a new connection; `new_filters` and `dropped_filters` start anew."""
        with self._lock:
            self._new.clear()
            self._dropped.clear()
            return list(self._handlers)

    def new_filters(self) -> list[str]:
        """Filters added since the last call, without those that are removed again."""
        with self._lock:
            new = [topic_filter for topic_filter in self._new if topic_filter in self._handlers]
            self._new.clear()
            return new

    def dropped_filters(self) -> list[str]:
        """Filters removed since the last call, without those that are added again."""
        with self._lock:
            dropped = [topic_filter for topic_filter in self._dropped if topic_filter not in self._handlers]
            self._dropped.clear()
            return dropped

    def handle(self, message: CommandMessage) -> bool:
        """Call the first handler whose filter matches; an exception in it is logged and goes no further.

        False if no filter matches: the broker still keeps a subscription of an earlier run.
        """
        with self._lock:
            handlers = [handler for pattern, handler in self._handlers.items() if matches(pattern, message.topic)]
        for handler in handlers[:1]:
            try:
                handler(message)
            except Exception:
                log.exception("message on %s: unexpected error", ascii(message.topic)[:200])
        return bool(handlers)


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic matches a filter (MQTT 5, 4.7.1).

    >>> matches("a/+/c/#", "a/b/c/d/e"), matches("a/#", "a"), matches("a/+", "a/b/c")
    (True, True, False)
    """
    parts = ["[^/]*" if level == "+" else re.escape(level) for level in topic_filter.split("/")]
    if topic_filter.endswith("#"):
        return re.fullmatch("/".join(parts[:-1]) + "(/.*)?", topic, re.DOTALL) is not None
    return re.fullmatch("/".join(parts), topic, re.DOTALL) is not None


def may_respond_on(topic: str, owned: Collection[str], agents: Collection[str] = ()) -> bool:
    """Whether a response may be published on the topic that a request names.

    Not on the agent's own topics, which the filters `owned` match, nor on the topics of other agents, which `agents`
    match: a client without the right to write there must not make the agent do it. Response topics are allowed.
    """
    if not topic or topic.startswith("$") or len(topic.encode(errors="replace")) > MAX_RESPONSE_TOPIC_BYTES:
        return False
    if any(character in topic for character in "+#\0"):
        return False
    if any(matches(topic_filter, topic) for topic_filter in agents):
        return False
    return "/response/" in topic or not any(matches(topic_filter, topic) for topic_filter in owned)
