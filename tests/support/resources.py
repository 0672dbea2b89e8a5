"""What a process holds: descriptors and threads, those of libraries too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.broker import wait_until


def descriptors(pid: int | str = "self") -> int:
    """Open files, sockets and pipes."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def kernel_threads(pid: int | str = "self") -> int:
    """Threads, also those that Python does not know."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def held() -> tuple[int, int, int]:
    """Descriptors, threads of Python, and all threads of this process."""
    return descriptors(), threading.active_count(), kernel_threads()


def await_no_more_than(most: Sequence[int]) -> None:
    """Wait until this process holds so much at most: a library's thread may end a moment after its camera is closed."""
    wait_until(lambda: all(now <= then for now, then in zip(held(), most, strict=True)), what=f"no more than {most}")


def leaks_nothing(connect: Callable[[], None], times: int = 50) -> None:
    """Assert that so many connections leave no more behind than three did."""
    for _ in range(3):
        connect()
    before = held()
    for _ in range(times):
        connect()
    await_no_more_than(before)
