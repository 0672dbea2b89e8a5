"""TensorRT in FP16 on an NVIDIA GPU, a PC's or a Jetson's: the plan of the bundle, run as one CUDA graph a call.

Nothing is allocated after the engine is open: for every batch size there is a context of its own and a graph that was
recorded once, all of them over the same buffers and the same scratch memory. Up go raw counts, down come scores and
heatmaps. On a device whose CPU and GPU share their memory nothing is copied at all.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle, Frames
from engines.errors import EngineError
from engines.images import Image, check_image
from engines.progress import Progress
from engines.runtime.engine import Engine
from engines.runtime.hardware import shows_gpu
from engines.runtime.tensorrt.build import BuildOptions, build_plan
from engines.runtime.tensorrt.cuda import Buffer, Gpu, Graph, open_gpu
from engines.runtime.tensorrt.gpu_resize import GpuResizer
from engines.runtime.tensorrt.plan import PlanKey, PlanStore, device_identity
from engines.runtime.tensorrt.runtime import HEATMAP, INPUT, SCORE, Runtime, load_tensorrt

if TYPE_CHECKING:
    import pycuda.driver as driver
    import tensorrt

log = logging.getLogger(__name__)

# As many cameras as share a bundle on one device; larger batches are scored in parts.
MAX_BATCH = 8

# While one engine records, another that is opened would wait for the whole device, which ends the recording.
_opening = threading.Lock()


class TensorRtEngine(Engine):
    """Runs the plan of `model-fp16.onnx`, which it builds where this device has none yet."""

    name = "tensorrt"
    precision = "fp16"

    def __init__(
        self,
        bundle: Bundle,
        *,
        directory: Path | None = None,
        progress: Progress | None = None,
        max_batch: int = MAX_BATCH,
    ) -> None:
        """Open, after building if need be.

        Args:
            bundle: a verified one.
            directory: the agent's state directory, for plans; None: a plan is built each time.
            progress: told how far the building is.
            max_batch: frames of one call to the GPU at most.

        Raises EngineError where TensorRT, PyCUDA or a GPU is missing, or the plan cannot be built or loaded.
        """
        super().__init__(bundle)
        try:
            version = load_tensorrt()
            self._gpu = open_gpu()
        except EngineError as error:
            raise error if shows_gpu() else EngineError(f"{error}; and this machine shows no NVIDIA GPU") from None
        self._busy = threading.Lock()
        self._runner: _Runner | None = None
        self._resizer: GpuResizer | None = None
        self._resizer_fails = False
        with _opening, self._gpu.current():
            runtime = Runtime()
            plan = load_plan(bundle, self._gpu, runtime, directory, progress, max_batch)
            self._runner = _Runner(self._gpu, plan, runtime, bundle, max_batch)
            try:
                self._resizer = GpuResizer(self._gpu, bundle.geometry)
            except BaseException:
                runner, self._runner = self._runner, None
                runner.close()
                raise
        self.detail = f"TensorRT {version}, FP16, {self._gpu.name}"

    def fit(self, image: Image) -> Image:
        """As every engine does; a large picture is shrunk on the GPU, where that has the memory for it."""
        check_image(image)
        resizer = None if self._resizer_fails else self._resizer
        if resizer is not None and resizer.wants(image):
            try:
                return resizer.shrink(image)
            except EngineError as error:
                # Not tried again: to ask for memory that is not there would cost time with every picture.
                self._resizer_fails = True
                # A camera may still give pictures while the agent stops; that is no trouble to tell of.
                if not self._closed:
                    log.warning("%s; pictures are shrunk on the CPU from now on", error)
        return super().fit(image)

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
            if self._resizer is not None:
                stack.callback(self._resizer.close)
            stack.enter_context(self._busy)
            stack.enter_context(self._gpu.current())
            runner, self._runner = self._runner, None
            if runner is not None:
                runner.close()
                # What it still holds, its stream, goes while the context is current.
                del runner


def load_plan(
    bundle: Bundle, gpu: Gpu, runtime: Runtime, directory: Path | None, progress: Progress | None, max_batch: int
) -> tensorrt.ICudaEngine:
    """The bundle's plan for this device, built where none is kept; the context is current."""
    store = PlanStore(directory)
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
        options = BuildOptions(max_batch, gpu.total_bytes, store.timing_cache(key))
        try:
            plan = build_plan(bundle, options, progress)
        except EngineError:
            raise
        except RuntimeError as error:  # what TensorRT's bindings raise where its library only says false
            raise EngineError(f"tensorrt engine: no plan was built ({' '.join(str(error).split())[:200]})") from error
        log.info("built in %.0f s, %.1f MB", time.monotonic() - started, len(plan) / 1e6)
        return plan

    return store.load_or_build(key, build, lambda plan: runtime.deserialize(plan, bundle))


class _Runner:
    """A plan with all that it needs to run. Every method wants the context current, and one thread at a time."""

    def __init__(self, gpu: Gpu, plan: tensorrt.ICudaEngine, runtime: Runtime, bundle: Bundle, max_batch: int) -> None:
        self.max_batch = max_batch
        self._gpu, self._plan, self._runtime = gpu, plan, runtime
        self._stream: driver.Stream = gpu.stream()
        self._buffers: dict[str, Buffer] = {}
        self._memory: list[driver.DeviceAllocation] = []
        self._batches: dict[int, tuple[tensorrt.IExecutionContext, Graph]] = {}
        geometry = bundle.geometry
        self._samples = int(np.prod(geometry.shape))
        self._widen = gpu.kernel(f"widen_{geometry.bit_depth}", "PPi")
        try:
            self._add_buffer(INPUT, geometry.shape, geometry.dtype)
            self._add_buffer(SCORE, (), np.float32)
            self._add_buffer(HEATMAP, bundle.heatmap_shape, np.float32)
            self._input = self._allocate(4 * max_batch * self._samples)
            scratch_bytes = max(int(plan.device_memory_size_v2), 1)
            self._scratch = self._allocate(scratch_bytes), scratch_bytes
            for count in range(1, max_batch + 1):
                self._prepare(count)
        except BaseException:
            self.close()
            raise

    def run(self, frames: Frames) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score up to `max_batch` frames; the answers are the caller's to keep."""
        count = len(frames)
        np.copyto(self._buffers[INPUT].host[:count], frames)
        self._batches[count][1].launch()
        self._stream.synchronize()
        score, heatmap = (self._buffers[name].host[:count].copy() for name in (SCORE, HEATMAP))
        return score, heatmap

    def close(self) -> None:
        """Give back everything, in the order in which one thing needs another, also where one cannot be freed."""
        with ExitStack() as stack:  # the last one goes first
            for allocation in self._memory:
                stack.callback(allocation.free)
            for buffer in self._buffers.values():
                stack.callback(buffer.free)
            stack.callback(self._forget)
            for _, graph in self._batches.values():
                stack.callback(graph.free)

    def _forget(self) -> None:
        """Let go of TensorRT's contexts, then of the plan that they are of."""
        self._batches.clear()
        del self._plan

    def _add_buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._buffers[name] = Buffer(self._gpu, (self.max_batch, *shape), dtype)

    def _allocate(self, size_bytes: int) -> int:
        """Memory of the device alone; its address."""
        self._memory.append(self._gpu.driver.mem_alloc(size_bytes))
        return int(self._memory[-1])

    def _prepare(self, count: int) -> None:
        """A context for one batch size, run once so that everything is loaded, and the recording of that run.

        The recording is played once as well: the driver takes memory for it the first time.
        """
        context = self._context(count)
        # TensorRT brings weights to the device on the default stream, for which ours does not wait.
        self._gpu.driver.Context.synchronize()
        self._queue(context, count)
        self._stream.synchronize()
        graph = Graph(self._stream, lambda: self._queue(context, count))
        self._batches[count] = context, graph
        graph.launch()
        self._stream.synchronize()

    def _context(self, count: int) -> tensorrt.IExecutionContext:
        """TensorRT wants a context for each graph; their scratch memory may be the same, as they take turns."""
        import tensorrt as trt

        context = self._plan.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            why = self._runtime.diary.why() or " (is the GPU's memory full?)"
            raise EngineError(f"tensorrt engine: TensorRT made no context, wanted one{why}")
        context.set_device_memory(*self._scratch)
        shape = (count, *self._buffers[INPUT].host.shape[1:])
        taken = [
            context.set_input_shape(INPUT, shape),
            context.set_tensor_address(INPUT, self._input),
            *(context.set_tensor_address(name, self._buffers[name].address) for name in (SCORE, HEATMAP)),
        ]
        if not all(taken):
            raise EngineError(f"tensorrt engine: the plan does not take a batch of {count}{self._runtime.diary.why()}")
        return context

    def _queue(self, context: tensorrt.IExecutionContext, count: int) -> None:
        """All that a call does on the GPU, in order."""
        self._buffers[INPUT].upload(self._stream, count)
        samples = count * self._samples
        self._widen.launch(self._stream, samples, 1, self._buffers[INPUT].address, self._input, samples)
        if not context.execute_async_v3(self._stream.handle):
            raise EngineError(f"tensorrt engine: a batch of {count} was not started{self._runtime.diary.why()}")
        for name in (SCORE, HEATMAP):
            self._buffers[name].download(self._stream, count)
