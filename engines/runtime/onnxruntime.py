"""ONNX Runtime: runs on every machine, and on an NVIDIA GPU if its GPU package is installed.

`benchmarks/engines` measures the effect of the session's settings. Inputs and outputs are not bound to buffers of our
own: the caller owns the answers, so each call would need new buffers and nothing would be gained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import MODEL, Bundle, Frames
from engines.errors import EngineError
from engines.runtime.cores import allowed_threads, physical_cores
from engines.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions
from engines.runtime.memory import memory_available

# onnxruntime's levels: 0 verbose … 3 error, 4 fatal. The warnings of level 2 are for its developers, not for operators.
_QUIET = 3

# The memory arena keeps the largest working set so far, twice over if batch sizes vary. With less free memory than
# this, the time that the arena saves is not worth the memory that it takes from the rest of the device.
_SHORT_OF_MEMORY_BYTES = 1024**3

# The steps of a frame take 1 to 50 µs each, and waking a thread takes as long. If threads spin for this time before
# they sleep, two threads score a frame of 64 or 256 pixels 1.2 to 1.5 times as fast, and the whole loop runs 1.4 to
# 1.7 times as fast, for no more processor time. Longer is no faster, and slower if other programs need the cores.
_SPIN_MICROSECONDS = 30

# Full float32, because of the tolerance of `model.onnx`: TF32 has ten bits of mantissa. The default search tries every
# algorithm on each new batch size, which takes seconds.
_CUDA: tuple[str, dict[str, str]] = ("CUDAExecutionProvider", {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"})
_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})


class OnnxRuntimeEngine(Engine):
    """Runs `model.onnx` of the bundle."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        """Open a session; without `options.threads`, a call uses one thread per allowed physical core."""
        super().__init__(bundle, options)
        self._run_options = run_options()
        self._session: Any = open_session(bundle.read(MODEL), threads=options.threads)
        self.detail = _describe(self._session)

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # A local reference keeps the session alive if another thread calls close() meanwhile.
        session = self._session
        if session is None:
            raise EngineError(f"{self.name} engine: already closed")
        try:
            score, heatmap = session.run(("score", "heatmap"), {"frames": frames}, self._run_options)
        except Exception as error:  # its exceptions share no base class of their own
            raise EngineError(f"{self.name} engine: the model cannot be run ({_line(error)})") from error
        return score, heatmap

    def interrupt(self) -> None:
        """Stop after the operator that is computed."""
        self._run_options.terminate = True

    def _close(self) -> None:
        self._session = None


def spin_entries(version: str) -> dict[str, str]:
    """Session entries that let threads spin for a moment while they wait for each other, within a call only.

    Before 1.27 the time cannot be limited. Threads then sleep at once, because capture and delivery need a core, too.

    >>> spin_entries("1.23.2")
    {'session.intra_op.allow_spinning': '0'}
    """
    if tuple(map(int, version.split(".")[:2])) < (1, 27):
        return {"session.intra_op.allow_spinning": "0"}
    return {
        "session.intra_op.allow_spinning": "1",
        "session.intra_op.spin_duration_us": str(_SPIN_MICROSECONDS),
        "session.force_spinning_stop": "1",
    }


def open_session(model: bytes, *, threads: int | None = None, arena: bool | None = None) -> Any:
    """Open a session on an ONNX model, on the GPU if this ONNX Runtime supports it.

    Args:
        model: the file's bytes.
        threads: CPU threads of one call; None: one per physical core that this process may use.
        arena: whether memory is kept from call to call; None: unless the machine is short of memory.

    Raises EngineError if ONNX Runtime rejects the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Never 0, ONNX Runtime's own default: it binds each thread to a core, which the unit's filter of system calls
    # forbids, and logs an error for each.
    options.intra_op_num_threads = threads or allowed_threads() or physical_cores()
    options.inter_op_num_threads = 1
    # Memory is planned by the lifetime of each value in any case. Reuse of one value's memory for another made a frame
    # of 64×64 pixels 3 % slower, one of 256×256 1 %, and a process that scores eight of these 12 % larger.
    options.enable_mem_reuse = False
    options.enable_cpu_mem_arena = not _short_of_memory() if arena is None else arena
    for key, value in spin_entries(onnxruntime.__version__).items():
        options.add_session_config_entry(key, value)
    providers = [_CUDA, _CPU] if _CUDA[0] in onnxruntime.get_available_providers() else [_CPU]
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # its exceptions share no base class of their own
        raise EngineError(f"onnxruntime engine: the model cannot be opened ({_line(error)})") from error


def run_options() -> Any:
    """Options of a call; ONNX Runtime looks at `terminate` between two operators."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = _QUIET
    return options


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


def _short_of_memory() -> bool:
    """Whether Linux's MemAvailable is below the limit; False on systems without it."""
    available = memory_available()
    return available is not None and available < _SHORT_OF_MEMORY_BYTES


def _describe(session: Any) -> str:
    """Version and execution provider in use, which need not be the preferred one: `ONNX Runtime 1.20.0, CPU`."""
    import onnxruntime

    return f"ONNX Runtime {onnxruntime.__version__}, {session.get_providers()[0].removesuffix('ExecutionProvider')}"
