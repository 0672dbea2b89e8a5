"""Measures the engines on one thread in CPU time, which other load on the machine hardly affects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict

from benchmarks.engines.measure import Row, measure
from engines.bundles import Bundle, read_bundle

# NumPy and PyTorch read their number of threads when they are loaded; it holds for the whole process.
_ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure_alone(bundle: Bundle, seconds: float) -> list[Row]:
    """Run `measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engines.alone", str(bundle.path), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **_ONE})
    return [Row(**row) for row in json.loads(done.stdout)]


if __name__ == "__main__":
    rows = measure(read_bundle(sys.argv[1]), float(sys.argv[2]), threads=1, clock=time.process_time)
    json.dump([asdict(row) for row in rows], sys.stdout)
