"""TensorRT in FP16 on the NVIDIA GPU of a PC or a Jetson: loads the bundle's plan for this device and runs it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle, Frames
from engines.errors import EngineError
from engines.images import Image
from engines.runtime.engine import DEFAULT_OPTIONS, Engine, EngineOptions
from engines.runtime.tensorrt.build import BuildOptions, build_plan
from engines.runtime.tensorrt.cuda import CudaDevice, open_gpu
from engines.runtime.tensorrt.gpu_resize import GpuResizer, ImageFitter
from engines.runtime.tensorrt.plan import PlanKey, PlanStore, device_identity
from engines.runtime.tensorrt.runner import PlanRunner
from engines.runtime.tensorrt.runtime import Runtime, load_tensorrt

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)

# As many cameras as share a bundle on one device; larger batches are scored in parts.
MAX_BATCH = 8

# If another engine is opened while one records a graph, it waits for the whole device, which ends the recording.
_opening = threading.Lock()


class TensorRtEngine(Engine):
    """Runs the plan of `model-fp16.onnx`; builds the plan if this device has none yet."""

    name = "tensorrt"
    precision = "fp16"

    def __init__(self, bundle: Bundle, options: EngineOptions = DEFAULT_OPTIONS, *, max_batch: int = MAX_BATCH) -> None:
        """Load the plan, or build it first; without `options.directory` it is built each time.

        `max_batch` is the largest number of frames in one call to the GPU. Raises EngineError if TensorRT, PyCUDA or a
        GPU is missing, or the plan cannot be built or loaded.
        """
        super().__init__(bundle, options)
        version = load_tensorrt()
        self._gpu = open_gpu()
        self._busy = threading.Lock()
        with _opening, self._gpu.current():
            runtime = Runtime()
            plan = load_plan(bundle, self._gpu, runtime, options, max_batch)
            self._runner: PlanRunner | None = PlanRunner(self._gpu, plan, runtime, bundle, max_batch)
            try:
                self._fitter = ImageFitter(GpuResizer(self._gpu, bundle.geometry), bundle.geometry)
            except BaseException:
                runner, self._runner = self._runner, None
                runner.close()
                raise
        self.detail = f"TensorRT {version}, FP16, {self._gpu.name}"

    def fit(self, image: Image) -> Image:
        """As every engine does; large images are shrunk on the GPU, except for models with letterbox."""
        view = self.bundle.manifest.view
        letterbox = view is not None and view.padding is not None
        return super().fit(image) if letterbox else self._fitter.fit(image)

    def _score(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with self._busy, self._gpu.current():
            runner = self._runner
            if runner is None:
                raise EngineError(f"{self.name} engine: already closed")
            parts = [
                runner.run(frames[start : start + runner.max_batch])
                for start in range(0, len(frames), runner.max_batch)
            ]
        score, heatmap = zip(*parts, strict=True)
        return np.concatenate(score), np.concatenate(heatmap)

    def _close(self) -> None:
        with ExitStack() as stack:
            stack.callback(self._fitter.close)
            stack.enter_context(self._busy)
            stack.enter_context(self._gpu.current())
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()
                # Its stream has to be dropped while the context is current.
                del runner


def load_plan(
    bundle: Bundle, gpu: CudaDevice, runtime: Runtime, options: EngineOptions, max_batch: int
) -> tensorrt.ICudaEngine:
    """The bundle's plan for this device; builds it if none is kept. The context must be current."""
    store = PlanStore(options.directory)
    key = PlanKey(
        bundle=bundle.sha256,
        tensorrt=load_tensorrt(),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        precision="fp16",
        max_batch=max_batch,
        device=device_identity(),
    )

    def build() -> bytes:
        log.info("building the TensorRT plan of %s for %s; this takes minutes on a Jetson", bundle.path.name, gpu.name)
        started = time.monotonic()
        try:
            plan = build_plan(
                bundle, BuildOptions(max_batch, gpu.total_bytes, store.timing_cache(key)), options.progress
            )
        except EngineError:
            raise
        except RuntimeError as error:  # TensorRT's bindings raise it if its library reports a failure without a text
            raise EngineError(f"tensorrt engine: no plan was built ({' '.join(str(error).split())[:200]})") from error
        log.info("built in %.0f s, %.1f MB", time.monotonic() - started, len(plan) / 1e6)
        return plan

    return store.load_or_build(key, build, lambda plan: runtime.deserialize(plan, bundle))
