"""On which topic a command is answered."""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.mqtt import CommandMessage
from agent.outputs.mqtt.delivery.subscriptions import may_respond_on
from agent.outputs.mqtt.flood import RateLimit
from agent.outputs.mqtt.topics import Topics

log = logging.getLogger(__name__)

# Log lines at most about response topics that are rejected; more at DEBUG.
RESPONSE_WARNINGS_PER_SECOND = 0.1


class ResponseTopics:
    """Accepts the response topic that a request names, unless it belongs to an agent."""

    def __init__(self, topics: Topics, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._owned = topics.owned_filters()
        self._agents = (*topics.agents_filters(), *Topics(topics.site).agents_filters())
        self._warnings = RateLimit(RESPONSE_WARNINGS_PER_SECOND, at_once=5)
        self._clock = clock

    def of(self, request: CommandMessage, fallback: str) -> str:
        """The topic to answer a request on: its response topic, or `fallback` without one that is accepted."""
        topic = request.response_topic
        if topic is None or may_respond_on(topic, self._owned, self._agents):
            return fallback if topic is None else topic
        log.log(
            logging.WARNING if self._warnings.allows(self._clock()) else logging.DEBUG,
            "response to %s: response topic %s rejected",
            ascii(request.topic)[:200],
            ascii(topic)[:120],
        )
        return fallback
