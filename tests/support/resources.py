"""What a process holds: descriptors and threads, those of libraries too."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path


def descriptors(pid: int | str = "self") -> int:
    """Open files, sockets and pipes."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def kernel_threads(pid: int | str = "self") -> int:
    """Threads, also those that Python does not know."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def leaks_nothing(connect: Callable[[], None], times: int = 50) -> None:
    """Assert that so many connections leave no more behind than three did.

    Fewer is possible: a thread of a library may end a moment after its camera was closed.
    """
    for _ in range(3):
        connect()
    before = descriptors(), threading.active_count(), kernel_threads()
    for _ in range(times):
        connect()
    after = descriptors(), threading.active_count(), kernel_threads()
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
