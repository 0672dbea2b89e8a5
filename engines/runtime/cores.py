"""How many CPU threads are worth opening where this process may not use the whole machine.

The libraries count the machine's cores. With one allowed core (`CPUAffinity=`, `taskset`, a container) they open as
many threads as the machine has cores, and these take turns; ONNX Runtime also logs an error for each core that it may
not be bound to. With a quota (`CPUQuota=`), threads above it only use it up sooner, and all of them wait.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

# A quota is a share of this period where the group gives no other: the kernel's default, cpu.cfs_period_us.
_PERIOD_MICROSECONDS = 100_000


def allowed_threads(root: Path = Path("/"), allowed: Collection[int] | None = None) -> int | None:
    """One thread for each physical core that this process may use, at most its CPU quota; None if it may use all.

    root: where `proc` and `sys` are.
    allowed: numbers of the CPUs that may be used; None: those of the system's scheduler.
    """
    if allowed is None:
        allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = _physical_cores(root, allowed)
    quota = cpu_quota(root)
    # Rounded down: with 1.5 CPUs, two threads would be stopped for a quarter of the time.
    threads = cores if quota is None else max(1, min(cores, int(quota)))
    return None if threads == _physical_cores(root, _online(root)) else threads


def physical_cores(root: Path = Path("/")) -> int:
    """The physical cores of the machine, at least 1."""
    return _physical_cores(root, _online(root))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPUs' worth of time that this process's control groups, versions 1 and 2, grant it; None: no limit."""
    shares = [share for folder in control_groups(root) if (share := _share(folder)) is not None]
    return min(shares, default=None)


def control_groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups that limit this process: its own and those above, where they are visible."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        names = controllers.split(",")
        if number == "0" and not controllers:
            mounts = ["sys/fs/cgroup"]
        elif "cpu" in names:
            mounts = ["sys/fs/cgroup/cpu", f"sys/fs/cgroup/{controllers}"]
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for mount in mounts:
            yield from (root / mount / group for group in (own, *own.parents))


def _share(group: Path) -> float | None:
    """The quota of one control group in CPUs: `cpu.max` of version 2, or the two files of version 1."""
    quota, period = [*_text(group / "cpu.max").split(), "", ""][:2]
    if not quota:
        quota, period = _text(group / "cpu.cfs_quota_us").strip(), _text(group / "cpu.cfs_period_us").strip()
    try:
        microseconds, of = int(quota), int(period or _PERIOD_MICROSECONDS)
    except ValueError:  # "max", or no such file
        return None
    return microseconds / of if microseconds > 0 and of > 0 else None


def _physical_cores(root: Path, cpus: Collection[int]) -> int:
    """Physical cores behind these CPUs, at least 1; a CPU counts for itself where Linux does not name its siblings."""
    folder = root / "sys/devices/system/cpu"
    siblings = {_text(folder / f"cpu{cpu}/topology/thread_siblings_list").strip() or str(cpu) for cpu in cpus}
    return max(1, len(siblings))


def _online(root: Path) -> list[int]:
    """Numbers of the machine's CPUs that are switched on.

    The file lists them as in `0-3,6`.
    """
    cpus: list[int] = []
    for part in _text(root / "sys/devices/system/cpu/online").strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            cpus += range(int(first), int(last or first) + 1)
    return cpus or list(range(os.cpu_count() or 1))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
