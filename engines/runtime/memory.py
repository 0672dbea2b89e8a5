"""How much memory is left for this process."""

from __future__ import annotations

from pathlib import Path

from engines.runtime.cores import control_groups


def memory_available(root: Path = Path("/")) -> int | None:
    """Memory that programs can still get without swapping, bytes: Linux's MemAvailable. None on systems without it."""
    return _meminfo(root).get("MemAvailable")


def memory_left(root: Path = Path("/")) -> int | None:
    """Memory that this process can still get, bytes: of the machine with its swap, and of its control groups
    (version 2), such as `MemoryMax=` of a unit. None where that is not known."""
    meminfo = _meminfo(root)
    left = [memory for folder in control_groups(root) if (memory := _left_in(folder)) is not None]
    if "MemAvailable" in meminfo:
        left.append(meminfo["MemAvailable"] + meminfo.get("SwapFree", 0))
    return min(left, default=None)


def _left_in(group: Path) -> int | None:
    """Of one control group; its file cache makes room for programs."""
    try:
        limit, used = int(_text(group / "memory.max")), int(_text(group / "memory.current"))
    except ValueError:  # "max", or no such file
        return None
    cache = [int(line.split()[1]) for line in _text(group / "memory.stat").splitlines() if line.startswith("file ")]
    return max(0, limit - used + sum(cache))


def _meminfo(root: Path) -> dict[str, int]:
    """Bytes by the names of /proc/meminfo; empty on systems without it."""
    fields = [line.split() for line in _text(root / "proc/meminfo").splitlines()]
    return {field[0].rstrip(":"): int(field[1]) * 1024 for field in fields if len(field) == 3}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
