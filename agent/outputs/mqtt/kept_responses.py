"""Responses to commands, kept for a request that arrives twice (QoS 1): it is executed once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from agent.mqtt import CommandMessage

# A broker that sends a request again does so with the next connection.
KEPT_RESPONSES = 1000
KEPT_SECONDS = 600.0

# Most responses have less than 2 kB, one with images has megabytes.
MAX_KEPT_BYTES = 8 * 1024**2


class KeptResponses:
    """The latest responses, each with the request that it answers. For one thread."""

    def __init__(self, max_bytes: int, clock: Callable[[], float]) -> None:
        """`clock`: monotonic seconds."""
        self._max_bytes = max_bytes
        self._clock = clock
        # By the digest of a request: when its response was kept, monotonic seconds, and the response.
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0

    def find(self, request: CommandMessage) -> bytes | None:
        """The response to the same request, if it was given in the last KEPT_SECONDS."""
        expired = self._clock() - KEPT_SECONDS
        while self._kept and next(iter(self._kept.values()))[0] < expired:
            self._drop_oldest()
        key = _request_key(request)
        return None if key is None or key not in self._kept else self._kept[key][1]

    def keep(self, request: CommandMessage, response: bytes) -> None:
        """Keep a response for a repeated request. The latest is kept whatever its size: it is the likely one."""
        key = _request_key(request)
        if key is None:
            return
        self._kept[key] = (self._clock(), response)
        self._bytes += len(response)
        while len(self._kept) > KEPT_RESPONSES or (self._bytes > self._max_bytes and len(self._kept) > 1):
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._kept.popitem(last=False)[1][1])


def _request_key(message: CommandMessage) -> bytes | None:
    """The same for two messages of one request; None if the sender gave no correlation data.

    The payload belongs to it: some clients use the same correlation data for every request.
    """
    if message.correlation_data is None:
        return None
    topic, response_topic = message.topic.encode(), (message.response_topic or "").encode()
    parts = (topic, response_topic, message.correlation_data, message.payload)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
