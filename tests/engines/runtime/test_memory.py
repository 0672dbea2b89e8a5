"""How much memory is left, from files as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.runtime.memory import memory_available, memory_left

GIB = 1024**3


def machine(root: Path, *, limit: str | None = None, used: int = GIB, cache: int = GIB // 2) -> Path:
    """A machine with 4 GiB available and 1 GiB of free swap, and a service in a control group."""
    group = root / "sys/fs/cgroup/system.slice/inspectd.service"
    group.mkdir(parents=True)
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/system.slice/inspectd.service\n")
    (root / "proc/meminfo").write_text(
        f"MemAvailable: {4 * GIB // 1024} kB\nSwapFree: {GIB // 1024} kB\nHugePages: 0\n"
    )
    if limit is not None:
        (group / "memory.max").write_text(f"{limit}\n")
        (group / "memory.current").write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 17\nfile {cache}\nfile_mapped 9\n")
    return root


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        (None, 5 * GIB),
        ("max", 5 * GIB),
        (str(2 * GIB), 3 * GIB // 2),
        (str(GIB // 4), 0),
        (str(64 * GIB), 5 * GIB),
    ],
)
def test_machine_or_its_control_group_limits_what_is_left(tmp_path: Path, limit: str | None, left: int) -> None:
    root = machine(tmp_path, limit=limit)
    assert memory_left(root) == left
    assert memory_available(root) == 4 * GIB


def test_system_without_these_files_knows_nothing(tmp_path: Path) -> None:
    assert memory_left(tmp_path) is None
    assert memory_available(tmp_path) is None


def test_this_machine_has_memory_left() -> None:
    assert memory_left() or not Path("/proc/meminfo").exists()
