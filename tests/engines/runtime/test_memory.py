"""Opening and closing an engine 200 times leaves the host's memory where it was; tests/gpu looks at the device's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engines.bundles.bundle import Bundle

# A process of its own: what other tests have taken and given back would hide a leak. What the allocator keeps for later
# is given back before each look; the first rounds fill pools that stay.
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


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "torch"])
def test_opening_and_closing_200_times_leaves_memory_where_it_was(tiny_bundle: Bundle, name: str) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed")
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says what a process has in memory")
    command = [sys.executable, "-c", _PROGRAM, str(tiny_bundle.path), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= LEAK_BYTES
