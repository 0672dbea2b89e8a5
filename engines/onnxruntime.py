"""ONNX Runtime on the CPU: the engine of every machine without an accelerator."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.bundle import MODEL, Bundle, Frames
from engines.engine import Engine
from engines.errors import EngineError

# onnxruntime's levels: 0 verbose … 3 error, 4 fatal. What it warns of at level 2 is for its developers, not for a line.
_QUIET = 3


class OnnxRuntimeEngine(Engine):
    """Runs `model.onnx` of the bundle."""

    name: ClassVar[str] = "onnxruntime"

    def __init__(self, bundle: Bundle, *, threads: int | None = None, model: str = MODEL) -> None:
        """Open a session; `threads` limits one call's CPU threads, None takes one per physical core."""
        super().__init__(bundle)
        self._session: Any = open_session(bundle.file(model).read_bytes(), threads=threads)

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        # Held in a local: a close() on another thread then only drops the engine's own reference.
        session = self._session
        if session is None:
            raise EngineError(f"{self.name} engine: already closed")
        score, heatmap = session.run(("score", "heatmap"), {"frames": frames})
        return score, heatmap

    def _close(self) -> None:
        self._session = None


def open_session(model: bytes, *, threads: int | None = None) -> Any:
    """Open a CPU session on an ONNX model; EngineError, one line, where the runtime refuses it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 0 if threads is None else threads
    options.inter_op_num_threads = 1
    # Spinning threads burn the cores that capture and delivery need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class of their own
        raise EngineError(f"onnxruntime engine: the model cannot be opened ({' '.join(str(error).split())})") from error
