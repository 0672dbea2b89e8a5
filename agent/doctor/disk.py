"""Checks the disk: writable, permanent, and with room for what the settings allow."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.check_result import CheckResult, ok, problem, warning
from agent.settings import Settings

# File systems that lose everything when the power fails.
VOLATILE = frozenset({"tmpfs", "ramfs", "overlay"})

# To stay free beyond the quotas: for SQLite's log, calibrations and the system itself.
SPARE_BYTES = 256 * 1024**2

# A smaller quota holds the images of one day at best.
SMALLEST_EVIDENCE_BYTES = 64 * 1024**2


def check_disk(settings: Settings) -> Iterator[CheckResult]:
    """The state directory can be written, survives a power cut, and has room for the quotas."""
    directory = settings.state_directory
    place = _existing(directory)
    if not os.access(place, os.W_OK | os.X_OK):
        fix = f"sudo inspectd doctor …, or sudo chown -R $USER {directory}"
        yield problem("disk", f"{place}: this user may not write there", fix)
        return
    kind = file_system(place)
    if kind in VOLATILE:
        text = f"{directory} is on {kind}: a power cut loses the alarms that are not delivered yet"
        yield warning("disk", text, "set state_directory to a folder on a disk")
    yield _room(directory, place, settings)


def _room(directory: Path, place: Path, settings: Settings) -> CheckResult:
    quotas = settings.max_outbox_size + settings.max_evidence_size + settings.review.max_size
    quotas += settings.max_score_log_size * len(settings.cameras)
    used = sum(file.stat().st_size for file in _files(directory))
    wanted, free = max(0, quotas - used) + SPARE_BYTES, shutil.disk_usage(place).free
    text = f"{directory}: {_size(free)} free, the quotas may take {_size(wanted)} more"
    if free < wanted:
        return problem("disk", text, _fix(settings, place, used, free))
    return ok("disk", text)


def _fix(settings: Settings, place: Path, used: int, free: int) -> str:
    """A quota that fits, if there is room for one; otherwise commands that find what fills the disk."""
    bounded = settings.max_outbox_size + settings.review.max_size + settings.max_score_log_size * len(settings.cameras)
    fits = free - SPARE_BYTES + used - bounded
    if fits >= SMALLEST_EVIDENCE_BYTES:
        return f'set max_evidence_size = "{fits // 1024**2} MiB", or free some space'
    return f"sudo journalctl --vacuum-size=100M; then sudo du -xh {_mount_point(place)} | sort -h | tail"


def _mount_point(place: Path) -> Path:
    return next(above for above in (place.resolve(), *place.resolve().parents) if above.is_mount())


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _files(directory: Path) -> Iterator[Path]:
    """Files below a folder, as far as this user may list them; a file may disappear meanwhile."""
    for folder, _, names in os.walk(directory):
        yield from (Path(folder, name) for name in names if Path(folder, name).is_file())


def file_system(place: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """The type of the file system that `place` is on, such as ext4; empty if it is not known."""
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
