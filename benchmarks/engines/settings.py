"""The effect of ONNX Runtime's session settings: frames per second relative to ours, and memory of the arena."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from engines.bundles import MODEL, Bundle, Frames
from engines.runtime import open_session, spin_entries

Call = Callable[[Frames], Any]

_OUTPUTS = ("score", "heatmap")
NO_DIFFERENCE = "none"
_SPINNING = "session.intra_op.allow_spinning"

# A process of its own, since freed memory is not returned to the system.
_MEMORY = """\
import sys
from pathlib import Path
from engines.bundles import MODEL, read_bundle
from engines.runtime import open_session
bundle = read_bundle(sys.argv[1])
session = open_session(bundle.read(MODEL), arena=sys.argv[2] == "on")
frames = bundle.reference().frames
for count in [1, len(frames)] * 10:
    session.run(("score", "heatmap"), {"frames": frames[:count]})
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmRSS"].split()[0]) * 1024 / 1e6, int(status["VmHWM"].split()[0]) * 1024 / 1e6)
"""


def variants(bundle: Bundle) -> dict[str, Call]:
    """One call for each session, by its difference from the session that the engine opens."""
    model = bundle.read(MODEL)
    level = onnxruntime.GraphOptimizationLevel
    default = open_session(model)
    return {
        NO_DIFFERENCE: _plain(default),
        "one thread": _plain(open_session(model, threads=1)),
        "arena off": _plain(open_session(model, arena=False)),
        "values reuse each other's memory": _plain(_session(model, reuse=True)),
        "threads sleep at once": _plain(_session(model, waits={_SPINNING: "0"})),
        "threads stay awake between calls too": _plain(_session(model, waits={_SPINNING: "1"})),
        "graph optimisation: extended": _plain(_session(model, level=level.ORT_ENABLE_EXTENDED)),
        "graph optimisation: basic": _plain(_session(model, level=level.ORT_ENABLE_BASIC)),
        "graph optimisation: none": _plain(_session(model, level=level.ORT_DISABLE_ALL)),
        "I/O binding, new outputs each call": _bound(default),
    }


def relative_rates(bundle: Bundle, frames: Frames, *, seconds: float, rounds: int) -> dict[str, float]:
    """Rate of each variant relative to the default, single frames; medians over rounds, in turns."""
    calls = variants(bundle)
    rates: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            rates[name].append(_rate(call, frames, seconds / rounds))
    default = np.array(rates[NO_DIFFERENCE])
    return {name: float(np.median(np.array(values) / default)) for name, values in rates.items()}


def arena_megabytes(bundle: Path) -> dict[str, tuple[float, float]]:
    """Resident memory of a scoring process, at its end and at most, in 10^6 bytes, with and without the arena."""
    found = {}
    for arena in ("on", "off"):
        command = [sys.executable, "-c", _MEMORY, str(bundle), arena]
        end, most = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        found[arena] = float(end), float(most)
    return found


def _session(model: bytes, *, level: Any = None, reuse: bool = False, waits: Mapping[str, str] | None = None) -> Any:
    """The engine's session with other settings."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.inter_op_num_threads = 1
    options.enable_mem_reuse = reuse
    if level is not None:
        options.graph_optimization_level = level
    for key, value in (waits or spin_entries(onnxruntime.__version__)).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _plain(session: Any) -> Call:
    return lambda frames: session.run(_OUTPUTS, {"frames": frames})


def _bound(session: Any) -> Call:
    def call(frames: Frames) -> Any:
        binding = session.io_binding()
        binding.bind_cpu_input("frames", frames)
        for name in _OUTPUTS:
            binding.bind_output(name)
        session.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return call


def _rate(call: Call, frames: Frames, seconds: float) -> float:
    call(frames[:1])
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        index = count % len(frames)
        call(frames[index : index + 1])
        count += 1
    return count / (time.perf_counter() - start)
