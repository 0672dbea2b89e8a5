"""The host application that an edge node waits for: its STATE messages, by Sparkplug 3.0, sections 5.4 and 5.5."""

from __future__ import annotations

import json

from agent.outputs.sparkplug.node import NAMESPACE


class PrimaryHost:
    """Whether the host is online. For one thread."""

    def __init__(self, name: str) -> None:
        """`name`: its id, the last level of the topic of its STATE."""
        self.name = name
        self.topic = f"{NAMESPACE}/STATE/{name}"
        self.online = False
        self._timestamp: int | None = None

    def take(self, payload: bytes) -> None:
        """Take in a STATE message; one that is older than the latest does not count.

        Raises ValueError for what is none.

        >>> host = PrimaryHost("scada")
        >>> host.take(b'{"online": true, "timestamp": 2}')
        >>> host.take(b'{"online": false, "timestamp": 1}')
        >>> host.online
        True
        """
        try:
            document = json.loads(payload)
            online, timestamp = document["online"], document["timestamp"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise ValueError("not a STATE of Sparkplug 3.0") from None
        if not isinstance(online, bool) or type(timestamp) is not int:
            raise ValueError("a STATE of Sparkplug 3.0 has online, true or false, and timestamp, in milliseconds")
        if self._timestamp is None or timestamp >= self._timestamp:
            self.online, self._timestamp = online, timestamp

    def forget(self) -> None:
        """A connection begins: the broker sends the latest STATE again, as it is retained."""
        self.online = False
