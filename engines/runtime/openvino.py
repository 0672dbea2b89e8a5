"""OpenVINO for Intel CPUs, in the lowest precision that still reproduces the bundle's reference."""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

from engines.bundles import MODEL, Bundle, Frames
from engines.errors import EngineError
from engines.runtime.cores import allowed_threads
from engines.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions
from engines.runtime.reference_check import check_reference

# By OpenVINO's name of a processor capability: OpenVINO's name of the precision, and the manifest's tolerance for it. A
# processor with such a capability computes in it natively, with half the work or less. float16 comes first, as the more
# exact of the two. By default OpenVINO would use them without a check that the answers are still right.
_LOWER = {"FP16": ("f16", "fp16"), "BF16": ("bf16", "fp16")}
_FULL = ("f32", "fp32")


class OpenVinoEngine(Engine):
    """Runs `model.onnx` of the bundle."""

    name = "openvino"

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS) -> None:
        """Compile for this processor; without `options.threads`, a call uses one thread per allowed physical core."""
        super().__init__(bundle, options)
        self._busy = threading.Lock()
        # By number of frames; 0 is for any number.
        self._requests: dict[int, Any] = {}
        core = openvino.Core()
        model = _read_model(core, bundle)
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        for capability, lower in _LOWER.items():
            if capability in capabilities and self._reproduces_reference(core, model, lower):
                return
        self._compile(core, model, _FULL)

    def _reproduces_reference(self, core: Any, model: Any, precision: tuple[str, str]) -> bool:
        """Compile in this precision and check the reference."""
        self._compile(core, model, precision)
        try:
            check_reference(self)
        except EngineError:
            return False
        return True

    def _compile(self, core: Any, model: Any, precision: tuple[str, str]) -> None:
        hint, self.precision = precision
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": hint,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            # Two agents on one device would otherwise be bound to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        threads = self.options.threads or allowed_threads()
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        # An engine with one camera gets one frame a call; a model compiled for that takes three quarters of the time.
        single = model.clone()
        single.reshape({"frames": [1, *self.bundle.geometry.shape]})
        try:
            for count, each in ((0, model), (1, single)):
                self._requests[count] = core.compile_model(each, "CPU", settings).create_infer_request()
        except RuntimeError as error:
            # OpenVINO's words if the service's MemoryDenyWriteExecute= forbids executable memory.
            advice = "; the service needs the drop-in openvino.conf" if "can't protect" in str(error) else ""
            raise EngineError(f"openvino engine: the model cannot be compiled ({_line(error)}){advice}") from error
        self.detail = f"OpenVINO {openvino.__version__.split('-')[0]}, {hint}"

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with self._busy:
            if not self._requests:
                raise EngineError(f"{self.name} engine: already closed")
            request = self._requests.get(len(frames), self._requests[0])
            # A copy, because OpenVINO rejects read-only arrays.
            try:
                request.infer({"frames": frames}, share_inputs=False)
            except RuntimeError as error:
                raise EngineError(f"{self.name} engine: the model cannot be run ({_line(error)})") from error
            score, heatmap = (request.get_tensor(name).data for name in ("score", "heatmap"))
            return score.copy(), heatmap.copy()

    def _close(self) -> None:
        with self._busy:
            self._requests.clear()


def _read_model(core: Any, bundle: Bundle) -> Any:
    try:
        return core.read_model(io.BytesIO(bundle.read(MODEL)))
    except RuntimeError as error:
        raise EngineError(f"openvino engine: the model cannot be read ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
