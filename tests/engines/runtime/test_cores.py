"""Threads where the process may use a part of the machine only: CPU affinity, and quotas of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest

from engines.runtime.cores import allowed_threads, cpu_quota

FOUR_CORES = {"sys/devices/system/cpu/online": "0-3\n"}
# Two physical cores with two threads each.
HYPERTHREADS = {
    **FOUR_CORES,
    **{f"sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)},
}


def machine(root: Path, content: Mapping[str, str]) -> Path:
    """A folder with these files of `proc` and `sys`."""
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("content", "allowed", "threads"),
    [
        (FOUR_CORES, {0, 1, 2, 3}, None),
        (FOUR_CORES, {2}, 1),
        (FOUR_CORES, {0, 3}, 2),
        (HYPERTHREADS, {0, 1, 2, 3}, None),
        (HYPERTHREADS, {0, 2}, 1),
        # One thread per physical core is what the libraries open without a limit.
        (HYPERTHREADS, {0, 1}, None),
        ({"sys/devices/system/cpu/online": "0-1,4\n"}, {0, 1, 4}, None),
        ({"sys/devices/system/cpu/online": "0-1,4\n"}, {0, 4}, 2),
    ],
)
def test_threads_are_the_allowed_physical_cores(
    tmp_path: Path, content: Mapping[str, str], allowed: set[int], threads: int | None
) -> None:
    assert allowed_threads(machine(tmp_path, content), allowed) == threads


@pytest.mark.parametrize(
    ("content", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2.5),
        (
            {
                "proc/self/cgroup": "0::/system.slice/inspectd@line1.service\n",
                "sys/fs/cgroup/system.slice/inspectd@line1.service/cpu.max": "max 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "30000 20000\n",
            },
            1.5,
        ),
        # A container sees its group under another path than the one that the kernel gives.
        ({"proc/self/cgroup": "0::/../../docker/1\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1.0),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "damaged", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "0 0\n"}, None),
    ],
)
def test_quota_is_the_smallest_of_the_groups(tmp_path: Path, content: Mapping[str, str], quota: float | None) -> None:
    assert cpu_quota(machine(tmp_path, content)) == quota


@pytest.mark.parametrize(("cpu_max", "threads"), [("max", None), ("800000", None), ("250000", 2), ("30000", 1)])
def test_quota_limits_the_threads_to_at_least_one(tmp_path: Path, cpu_max: str, threads: int | None) -> None:
    group = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{cpu_max} 100000\n"}
    assert allowed_threads(machine(tmp_path, {**FOUR_CORES, **group}), range(4)) == threads


THREADS_OF_A_SESSION = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
import numpy as np
from engines.runtime.onnxruntime import open_session
before = len(os.listdir("/proc/self/task"))
session = open_session(Path(sys.argv[1]).read_bytes())
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="this machine has one core")
def test_session_on_one_allowed_core_opens_no_second_thread() -> None:
    model = Path(str(files("engines.bundles.shipped"))) / "simulator-camera.bundle" / "model.onnx"
    done = subprocess.run(
        [sys.executable, "-c", THREADS_OF_A_SESSION, str(model)], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
