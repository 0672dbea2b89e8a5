"""Opening and closing an engine 200 times leaks no host memory; `tests/gpu` checks the memory of the device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engines.backends import BACKENDS, Hardware
from engines.bundles.bundle import Bundle
from engines.runtime.hardware import is_usable

# A process of its own: memory that other tests have freed would hide a leak. The allocator returns its reserves before
# each measurement. The first rounds fill pools that stay.
_PROGRAM = """\
import ctypes
import gc
import sys
from pathlib import Path
from engines.bundles.bundle import read_bundle
from engines.runtime.opening import open_engine

def once(bundle, name):
    with open_engine(bundle, name, threads=1) as engine:
        engine.score(bundle.reference().frames[:1])

def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

bundle, name = read_bundle(sys.argv[1]), sys.argv[2]
for _ in range(20):
    once(bundle, name)
before = resident()
for _ in range(200):
    once(bundle, name)
print(resident() - before)
"""

LEAK_BYTES = 8 * 1024**2


@pytest.mark.parametrize("name", [name for name, backend in BACKENDS.items() if backend.hardware is Hardware.CPU])
def test_opening_and_closing_200_times_leaks_no_memory(tiny_bundle: Bundle, name: str) -> None:
    if not is_usable(BACKENDS[name]):
        pytest.skip(f"{name} is not installed")
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux reports the memory of a process in /proc")
    command = [sys.executable, "-c", _PROGRAM, str(tiny_bundle.path), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= LEAK_BYTES
