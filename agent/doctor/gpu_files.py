"""Finds the device files of this machine's GPU, each with its driver and its group."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from grp import getgrgid
from pathlib import Path

# Of a Jetson. No other machine has its memory allocator, nvmap. From JetPack 7 on the others are named as in a PC.
JETSON = ("nvmap", "nvhost-*", "nvgpu/*/*", "dri/renderD*")
CARD = ("nvidiactl", "nvidia[0-9]*", "nvidia-uvm")

# For debuggers and schedulers. JetPack gives them to the group debug or to root alone, and CUDA does not need them.
NOT_NEEDED = ("*dbg*", "*prof*", "*ctxsw*", "*sched*", "*power*")


@dataclass(frozen=True, slots=True)
class GpuFile:
    """A device file of a GPU."""

    path: str
    driver: str | None
    """As in /proc/devices, and as in systemd's DeviceAllow=char-…; None if it is not listed."""
    group: str | None
    """Only its members may read and write the file; None: everybody may."""


@dataclass(frozen=True, slots=True)
class GpuFiles:
    """The GPU of this machine. Several cards of one driver count as one."""

    drop_in: str
    """The drop-in that lets a service open it."""
    files: tuple[GpuFile, ...]


def find_gpu_files(directory: Path = Path("/dev"), drivers: Path = Path("/proc/devices")) -> GpuFiles | None:
    """The device files of a Jetson, or of the NVIDIA cards of a PC; None if there are none."""
    known = _character_drivers(drivers)
    name, patterns = ("jetson", (*JETSON, *CARD)) if (directory / "nvmap").exists() else ("nvidia", CARD)
    files = tuple(_gpu_file(path, known) for path in _needed(directory, patterns))
    return GpuFiles(name, files) if files else None


def _needed(directory: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(directory.glob(pattern)):
            if not any(fnmatch(path.name, name) for name in NOT_NEEDED):
                yield path


def _gpu_file(path: Path, known: Mapping[int, str]) -> GpuFile:
    status = path.stat()
    everybody = stat.S_IROTH | stat.S_IWOTH
    group = None if status.st_mode & everybody == everybody else group_name(status.st_gid)
    return GpuFile(str(path), known.get(os.major(status.st_rdev)), group)


def group_name(number: int) -> str:
    """The name of a group; its number where it has no name."""
    try:
        return getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _character_drivers(file: Path) -> Mapping[int, str]:
    """The drivers of character devices by major number; /proc/devices lists them before those of block devices."""
    try:
        lines = file.read_text().partition("Block devices:")[0].splitlines()
    except OSError:
        return {}
    return {int(words[0]): words[1] for words in map(str.split, lines) if len(words) == 2 and words[0].isdigit()}
