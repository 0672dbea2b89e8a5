"""ONNX Runtime: the engine of every machine, and on an NVIDIA GPU too where its GPU package is installed.

What the session's settings are worth is measured in `benchmarks/engines`. Binding inputs and outputs to buffers of our
own is not done: the answers are the caller's to keep, so that each call would need new ones, and nothing is gained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import MODEL, Bundle, Frames
from engines.errors import EngineError
from engines.runtime.engine import Engine

# onnxruntime's levels: 0 verbose … 3 error, 4 fatal. What it warns of at level 2 is for its developers, not for a line.
_QUIET = 3

# The memory arena keeps the largest working set there ever was, twice over where batches vary. Below this much free
# memory the time that it saves is not worth what it takes from the rest of the device.
_SHORT_OF_MEMORY_BYTES = 1024**3

# Steps of a frame take 1 to 50 µs each, and to be woken takes as long. Awake for so long, two threads score a frame of
# 64 or 256 pixels 1.2 to 1.5 times as fast as when they sleep at once, and the whole loop runs 1.4 to 1.7 times as
# fast, for no more of the processor's time. Longer is no faster, and slower where others want the cores.
_AWAKE_MICROSECONDS = 30

# Full float32, as the tolerance of `model.onnx` asks for: TF32 has ten bits of mantissa. The default search tries every
# algorithm on each new batch size, for seconds.
_CUDA: tuple[str, dict[str, str]] = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


class OnnxRuntimeEngine(Engine):
    """Runs `model.onnx` of the bundle."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, *, threads: int | None = None, model: str = MODEL) -> None:
        """Open a session; `threads` limits one call's CPU threads, None takes one per physical core."""
        super().__init__(bundle)
        self._session: Any = open_session(bundle.file(model).read_bytes(), threads=threads)
        self.detail = _describe(self._session)

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # Held in a local: a close() on another thread then only drops the engine's own reference.
        session = self._session
        if session is None:
            raise EngineError(f"{self.name} engine: already closed")
        score, heatmap = session.run(("score", "heatmap"), {"frames": frames})
        return score, heatmap

    def _close(self) -> None:
        self._session = None


def waiting(version: str) -> dict[str, str]:
    """How a session's threads wait for each other, in words of this release: awake for a moment, within a call only.

    Before 1.27 they cannot be told for how long, and a core is the agent's own for capture and delivery: asleep then.

    >>> waiting("1.23.2")
    {'session.intra_op.allow_spinning': '0'}
    """
    if tuple(map(int, version.split(".")[:2])) < (1, 27):
        return {"session.intra_op.allow_spinning": "0"}
    return {
        "session.intra_op.allow_spinning": "1",
        "session.intra_op.spin_duration_us": str(_AWAKE_MICROSECONDS),
        "session.force_spinning_stop": "1",
    }


def open_session(model: bytes, *, threads: int | None = None, arena: bool | None = None) -> Any:
    """Open a session on an ONNX model, on the GPU where the runtime has it; EngineError where the model is refused.

    Args:
        model: the file's bytes.
        threads: CPU threads of one call; None takes one per physical core.
        arena: whether memory is kept from call to call; None: unless the machine is short of it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 0 if threads is None else threads
    options.inter_op_num_threads = 1
    # Memory is planned by how long each value is needed either way. Left to take over each other's as well, values made
    # a frame of 64×64 pixels 3 % slower, one of 256×256 1 %, and a process that scores eight of these 12 % larger.
    options.enable_mem_reuse = False
    options.enable_cpu_mem_arena = not _short_of_memory() if arena is None else arena
    for key, value in waiting(onnxruntime.__version__).items():
        options.add_session_config_entry(key, value)
    providers = [_CUDA, _CPU] if _CUDA[0] in onnxruntime.get_available_providers() else [_CPU]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # its exceptions share no base class of their own
        raise EngineError(f"onnxruntime engine: the model cannot be opened ({' '.join(str(error).split())})") from error


def _short_of_memory() -> bool:
    """What Linux holds free for the taking, MemAvailable, is below the limit; False where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return bool(kilobytes) and kilobytes[0] * 1024 < _SHORT_OF_MEMORY_BYTES


def _describe(session: Any) -> str:
    """`ONNX Runtime 1.20.0, CPU`: the provider that is in use, which need not be the one that was asked for."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, {session.get_providers()[0].removesuffix('ExecutionProvider')}"
