"""One thread each, in the processor's time: what others do on the machine takes little of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict

from benchmarks.engines.measure import Row, measure
from engines.bundles import Bundle, read_bundle

# NumPy's and PyTorch's number of threads is one for the whole process, and read when they are loaded.
_ONE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def measure_alone(bundle: Bundle, seconds: float) -> list[Row]:
    """As `measure`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engines.alone", str(bundle.path), str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **_ONE})
    return [Row(**row) for row in json.loads(done.stdout)]


if __name__ == "__main__":
    rows = measure(read_bundle(sys.argv[1]), float(sys.argv[2]), threads=1, clock=time.process_time)
    json.dump([asdict(row) for row in rows], sys.stdout)
