"""OpenVINO on the CPU: for Intel machines, in the lowest precision that still reproduces the bundle's reference."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import MODEL, Bundle, Frames
from engines.errors import EngineError
from engines.runtime.engine import Engine
from engines.runtime.reference_check import check_reference

# By OpenVINO's name of a capability: its name of the precision, the manifest's tolerance that it is held to. A
# processor that lists one computes in it natively, which halves the work or better; float16 is the more exact of the
# two. Left to itself, OpenVINO takes them without asking whether the answers still are right.
_LOWER = {"FP16": ("f16", "fp16"), "BF16": ("bf16", "fp16")}
_FULL = ("f32", "fp32")


class OpenVinoEngine(Engine):
    """Runs `model.onnx` of the bundle."""

    name = "openvino"

    def __init__(self, bundle: Bundle, *, threads: int | None = None) -> None:
        """Compile for this processor; `threads` limits one call's CPU threads, None takes one per physical core."""
        super().__init__(bundle)
        self._threads = threads
        self._busy = threading.Lock()
        # By number of frames; 0 takes any.
        self._requests: dict[int, Any] = {}
        core, model = _read(bundle)
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for capability, lower in _LOWER.items():
            if capability in capabilities and self._holds(core, model, lower):
                return
        self._compile(core, model, _FULL)

    def _holds(self, core: Any, model: Any, precision: tuple[str, str]) -> bool:
        """Whether the reference is reproduced in this precision; it is the one in use then."""
        self._compile(core, model, precision)
        try:
            check_reference(self)
        except EngineError:
            return False
        return True

    def _compile(self, core: Any, model: Any, precision: tuple[str, str]) -> None:
        hint, self.precision = precision
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Two agents on one device would otherwise be bound to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        if self._threads is not None:
            options["INFERENCE_NUM_THREADS"] = self._threads
        # Compiled for one frame a call, which is what a line with one camera has, it takes three quarters of the time.
        single = model.clone()
        single.reshape({"frames": [1, *self.bundle.geometry.shape]})
        try:
            for count, each in ((0, model), (1, single)):
                self._requests[count] = core.compile_model(each, "CPU", options).create_infer_request()
        except RuntimeError as error:
            # The sandbox of the service, MemoryDenyWriteExecute=, says it in these words.
            advice = "; the service needs the drop-in openvino.conf" if "can't protect" in str(error) else ""
            raise EngineError(f"openvino engine: the model cannot be compiled ({_line(error)}){advice}") from error
        self.detail = f"OpenVINO {_version()}, {hint}"

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with self._busy:
            if not self._requests:
                raise EngineError(f"{self.name} engine: already closed")
            request = self._requests.get(len(frames), self._requests[0])
            # A copy, since OpenVINO refuses arrays that may not be written to.
            request.infer({"frames": frames}, share_inputs=False)
            score, heatmap = (request.get_tensor(name).data for name in ("score", "heatmap"))
            return score.copy(), heatmap.copy()

    def _close(self) -> None:
        with self._busy:
            self._requests.clear()


def _read(bundle: Bundle) -> tuple[Any, Any]:
    """OpenVINO's core, and the bundle's model in it."""
    try:
        import openvino
    except ImportError as error:
        raise EngineError("openvino engine: OpenVINO is not installed (pip install 'inspectd[openvino]')") from error
    core = openvino.Core()
    try:
        return core, core.read_model(io.BytesIO(bundle.file(MODEL).read_bytes()))
    except RuntimeError as error:
        raise EngineError(f"openvino engine: the model cannot be read ({_line(error)})") from error


def _version() -> str:
    import openvino

    return str(openvino.__version__).split("-")[0]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
