"""Checks of the disk: writable, lasting, and with room for what the settings allow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.finding import CheckResult, ok, problem, warning
from agent.settings import Settings

# File systems that forget everything when the power goes.
FLEETING = frozenset({"tmpfs", "ramfs", "overlay"})

# Left free beyond the quotas: SQLite's log, calibrations, the system's own.
RESERVE_BYTES = 256 * 1024**2

# Less than this holds the pictures of a day at best.
SMALLEST_EVIDENCE_BYTES = 64 * 1024**2


def check_disk(settings: Settings) -> Iterator[CheckResult]:
    """The state directory takes what it may have to take, and keeps it."""
    directory = settings.state_directory
    place = _existing(directory)
    if not os.access(place, os.W_OK | os.X_OK):
        mend = f"sudo inspectd doctor …, or chown -R $USER {directory}"
        yield problem("disk", f"{place}: this user may not write there", mend)
        return
    kind = file_system(place)
    if kind in FLEETING:
        yield warning(
            "disk", f"{directory} is on {kind}: alarms that wait are lost with the power", "set state_directory"
        )
    yield _room(directory, place, settings)


def _room(directory: Path, place: Path, settings: Settings) -> CheckResult:
    quotas = settings.max_outbox_size + settings.max_evidence_size
    quotas += settings.max_score_log_size * len(settings.cameras)
    used = sum(file.stat().st_size for file in _files(directory))
    wanted, free = max(0, quotas - used) + RESERVE_BYTES, shutil.disk_usage(place).free
    text = f"{directory}: {_size(free)} free, the quotas still take {_size(wanted)}"
    if free < wanted:
        return problem("disk", text, _mend(settings, place, used, free))
    return ok("disk", text)


def _mend(settings: Settings, place: Path, used: int, free: int) -> str:
    """Quotas that fit, where there is room for any; else what takes the room."""
    bounded = settings.max_outbox_size + settings.max_score_log_size * len(settings.cameras)
    fits = free - RESERVE_BYTES + used - bounded
    if fits >= SMALLEST_EVIDENCE_BYTES:
        return f'set max_evidence_size = "{fits // 1024**2} MiB", or free some space'
    return f"sudo journalctl --vacuum-size=100M; then sudo du -xh {_mount(place)} | sort -h | tail"


def _mount(place: Path) -> Path:
    """Where the file system of a place begins."""
    return next(above for above in (place.resolve(), *place.resolve().parents) if above.is_mount())


def _existing(path: Path) -> Path:
    """The path, or the first folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


def _files(directory: Path) -> Iterator[Path]:
    """What lies below, so far as it may be looked at; files may go while we look."""
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def file_system(place: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The kind of file system that a place is on; empty where that is not known."""
    found, longest = "", -1
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        _, point, kind, *_ = line.split()
        inside = place.resolve().is_relative_to(point.replace("\\040", " "))
        if inside and len(point) >= longest:
            found, longest = kind, len(point)
    return found


def _size(count: float) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"
