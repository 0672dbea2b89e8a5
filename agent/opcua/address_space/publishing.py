"""Results leave at once: a subscription would send them at its next publishing time, however long it was silent."""

from __future__ import annotations

import time
from typing import Any


class Publishing:
    """For the subscriptions of one server, and the thread of its event loop."""

    def __init__(self, service: Any) -> None:
        """`service`: asyncua's, with the subscriptions by their ids."""
        self._service = service
        self._latest: dict[int, float] = {}
        """When a subscription was last made to publish, monotonic seconds."""

    async def publish(self) -> None:
        """Have each subscription send the events that wait, but none more than once within its publishing interval.

        asyncua counts each publishing without an answer of the client towards the lifetime of the subscription: it
        lives half as long at worst.
        """
        now, subscriptions = time.monotonic(), dict(self._service.subscriptions)
        self._latest = {number: at for number, at in self._latest.items() if number in subscriptions}
        for number, subscription in subscriptions.items():
            interval = subscription.data.RevisedPublishingInterval / 1000.0
            if subscription._triggered_events and now - self._latest.get(number, -interval) >= interval:
                self._latest[number] = now
                await subscription.publish_results()
