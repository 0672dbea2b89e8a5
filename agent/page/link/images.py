"""Live images and thumbnails that several viewers share, so that the agent encodes each of them once."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from agent.core.errors import Permanent
from agent.page.link.control import AgentLink

# Ten images a second look fluent; more would only cost the agent.
LIVE_SECONDS = 0.1

# 2,000 thumbnails of 8 kB.
CACHE_BYTES = 16 * 2**20

T = TypeVar("T")


class LiveImages:
    """The latest image of each camera, asked for ten times a second at most, however many look."""

    def __init__(self, link: AgentLink, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = link
        self._clock = clock
        self._latest: dict[tuple[str, int], tuple[float, dict[str, Any]]] = {}
        self._locks: dict[tuple[str, int], asyncio.Lock] = {}

    async def get(self, camera: str, side: int) -> dict[str, Any]:
        """The answer to the command `live` with its images. Raises Temporary and Permanent."""
        key = (camera, side)
        async with self._locks.setdefault(key, asyncio.Lock()):
            asked, known = self._latest.get(key, (-1.0, None))
            if known is not None and self._clock() - asked < LIVE_SECONDS:
                return known
            after = None if known is None else known["frame"]
            try:
                found = await self._link.ask("live", camera, after=after, side=side)
            except Permanent:
                # A name that no camera has; there are many of them.
                self._locks.pop(key, None)
                self._latest.pop(key, None)
                raise
            if found["image"] is None and known is not None:
                found = {**known, "age_seconds": found["age_seconds"]}
            self._latest[key] = (self._clock(), found)
            return found


class ImageCache:
    """Bytes by key, the ones that were used last, up to a size."""

    def __init__(self, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._bytes = 0

    async def get(self, key: str, load: Callable[[], Awaitable[tuple[str, bytes]]]) -> tuple[str, bytes]:
        """Media type and bytes; `load` gets them where they are not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = await load()
        if key not in self._kept and len(found[1]) < self._max_bytes // 8:
            self._kept[key] = found
            self._bytes += len(found[1])
            while self._bytes > self._max_bytes:
                _, (_, payload) = self._kept.popitem(last=False)
                self._bytes -= len(payload)
        return found
