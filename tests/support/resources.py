"""What a process holds: descriptors and threads, those of libraries too."""

from __future__ import annotations

from pathlib import Path


def descriptors(pid: int | str = "self") -> int:
    """Open files, sockets and pipes."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def kernel_threads(pid: int | str = "self") -> int:
    """Threads, also those that Python does not know."""
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())
