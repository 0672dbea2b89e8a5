"""The commands `device`, the health of the device, and `commands`, which this agent accepts."""

from __future__ import annotations

import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agent.commands.command import Call
from agent.messages import CommandRequest
from agent.monitoring import temperatures

_STARTED = time.monotonic()


class DeviceRequest(CommandRequest):
    """The health of the device: load, memory, disk space, temperatures."""

    command = "device"


class CommandsRequest(CommandRequest):
    """The names of the commands that this agent accepts."""

    command = "commands"


def read_device(call: Call) -> dict[str, Any]:
    """Values that the system does not give are null."""
    memory = _memory(Path("/proc/meminfo"))
    degrees = dict(temperatures())
    return {
        "version": version("inspectd"),
        "running_seconds": round(time.monotonic() - _STARTED),
        "load": _load(),
        "cores": os.cpu_count(),
        "memory_bytes": memory.get("MemTotal"),
        "memory_free_bytes": memory.get("MemAvailable"),
        **_disk(call.agent.settings.state_directory),
        "temperatures": degrees,
    }


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _disk(directory: Path) -> dict[str, int | None]:
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return {"disk_bytes": None, "disk_free_bytes": None}
    return {"disk_bytes": usage.total, "disk_free_bytes": usage.free}


def _memory(path: Path) -> dict[str, int]:
    """Sizes in bytes, by name; empty where the system has no such file."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0].rstrip(":"): int(line[1]) * 1024 for line in lines if len(line) == 3}
