"""Messages to the agent: who wants which, and where answers may go."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """A message on a topic that somebody subscribed to with `Publisher.subscribe`."""

    topic: str
    payload: bytes
    retained: bool
    """The broker kept it from an earlier time: no command should be retained."""
    response_topic: str | None
    """Where the sender wants the answer (MQTT 5)."""
    correlation_data: bytes | None
    """What the answer has to carry (MQTT 5)."""
    expiry_seconds: int | None
    """What is left of its life; the broker drops what has none left. None: the sender set none."""
    received_monotonic: float
    """Seconds, of the publisher's clock."""


MessageHandler = Callable[[CommandMessage], None]


class Subscriptions:
    """Topic filters and their handlers. Any thread may add; the publisher's thread hands over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handlers: dict[str, MessageHandler] = {}
        self._new: deque[str] = deque()

    def add(self, topic_filter: str, handler: MessageHandler) -> None:
        with self._lock:
            self._handlers[topic_filter] = handler
            self._new.append(topic_filter)

    def all_filters(self) -> list[str]:
        """For a new connection; nothing is new after it."""
        with self._lock:
            self._new.clear()
            return list(self._handlers)

    def new_filters(self) -> list[str]:
        """What was added since it was asked last."""
        with self._lock:
            new = list(self._new)
            self._new.clear()
            return new

    def hand_over(self, message: CommandMessage) -> None:
        """Calls the first handler whose filter matches; an error in it is logged and goes no further."""
        with self._lock:
            handlers = [handler for pattern, handler in self._handlers.items() if matches(pattern, message.topic)]
        for handler in handlers[:1]:
            try:
                handler(message)
            except Exception:
                log.exception("message on %s: unexpected error", ascii(message.topic)[:200])


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic matches a filter (MQTT 5, 4.7.1).

    >>> matches("a/+/c/#", "a/b/c/d/e"), matches("a/#", "a"), matches("a/+", "a/b/c")
    (True, True, False)
    """
    parts = ["[^/]*" if level == "+" else re.escape(level) for level in topic_filter.split("/")]
    if topic_filter.endswith("#"):
        return re.fullmatch("/".join(parts[:-1]) + "(/.*)?", topic, re.DOTALL) is not None
    return re.fullmatch("/".join(parts), topic, re.DOTALL) is not None


def may_answer_on(topic: str, owned: Collection[str]) -> bool:
    """Whether an answer may go where a request asks: a topic, and none of the agent's own, which the filters hold.

    A requester who may not write those himself must not have them written by the agent.
    """
    if not topic or topic.startswith("$") or len(topic.encode(errors="replace")) > 1024:
        return False
    if any(character in topic for character in "+#\0"):
        return False
    return "/response/" in topic or not any(matches(topic_filter, topic) for topic_filter in owned)
