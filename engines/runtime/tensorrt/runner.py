"""Run a plan: buffers, scratch memory, and one recorded CUDA graph per batch size.

Nothing is allocated after construction. Each batch size has a context and a recorded graph of its own; all of them
share the buffers and the scratch memory. Raw counts are uploaded, scores and heatmaps downloaded. On a device whose CPU
and GPU share their memory nothing is copied at all.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engines.bundles import Bundle, Frames
from engines.errors import EngineError
from engines.runtime.tensorrt.cuda import Buffer, CudaDevice
from engines.runtime.tensorrt.cuda_graph import CudaGraph
from engines.runtime.tensorrt.runtime import HEATMAP, INPUT, SCORE, Runtime

if TYPE_CHECKING:
    import pycuda.driver as driver
    import tensorrt


class PlanRunner:
    """A plan with everything that it needs to run.

    Every method needs the context to be current, and one thread at a time.
    """

    def __init__(
        self, gpu: CudaDevice, plan: tensorrt.ICudaEngine, runtime: Runtime, bundle: Bundle, max_batch: int
    ) -> None:
        """Allocate everything and record the graphs; EngineError if the memory does not suffice. Owns the plan."""
        self.max_batch = max_batch
        self._gpu, self._plan, self._runtime = gpu, plan, runtime
        self._stream: driver.Stream = gpu.stream()
        self._buffers: dict[str, Buffer] = {}
        self._memory: list[driver.DeviceAllocation] = []
        self._batches: dict[int, tuple[tensorrt.IExecutionContext, CudaGraph]] = {}
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
        """Score 1 to `max_batch` frames [n, H, W, C]: (score [n], heatmap [n, h, w]); the caller owns both."""
        count = len(frames)
        np.copyto(self._buffers[INPUT].host[:count], frames)
        self._batches[count][1].launch()
        self._stream.synchronize()
        score, heatmap = (self._buffers[name].host[:count].copy() for name in (SCORE, HEATMAP))
        return score, heatmap

    def close(self) -> None:
        """Free everything in the order of dependencies, the rest also if one thing cannot be freed."""
        with ExitStack() as stack:  # the last callback runs first
            for allocation in self._memory:
                stack.callback(allocation.free)
            for buffer in self._buffers.values():
                stack.callback(buffer.free)
            stack.callback(self._drop_plan)
            for _, graph in self._batches.values():
                stack.callback(graph.free)

    def _drop_plan(self) -> None:
        """Drop TensorRT's contexts, then the plan that they belong to."""
        self._batches.clear()
        del self._plan

    def _add_buffer(self, name: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._buffers[name] = Buffer(self._gpu, (self.max_batch, *shape), dtype)

    def _allocate(self, size_bytes: int) -> int:
        """Allocate memory on the device only; returns its address."""
        self._memory.append(self._gpu.driver.mem_alloc(size_bytes))
        return int(self._memory[-1])

    def _prepare(self, count: int) -> None:
        """Make a context for one batch size, run it once so that everything is loaded, then record its graph.

        The graph is launched once as well: the driver allocates memory for it at the first launch.
        """
        context = self._context(count)
        # TensorRT uploads weights on the default stream, and our stream does not wait for that one.
        self._gpu.driver.Context.synchronize()
        self._queue(context, count)
        self._stream.synchronize()
        graph = CudaGraph(self._stream, lambda: self._queue(context, count))
        self._batches[count] = context, graph
        graph.launch()
        self._stream.synchronize()

    def _context(self, count: int) -> tensorrt.IExecutionContext:
        """A context for one graph. TensorRT needs one per graph; they take turns with the same scratch memory."""
        import tensorrt as trt

        context = self._plan.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if context is None:
            reason = self._runtime.messages.first_error() or " (is the GPU's memory full?)"
            raise EngineError(f"tensorrt engine: TensorRT made no context, wanted one{reason}")
        context.set_device_memory(*self._scratch)
        shape = (count, *self._buffers[INPUT].host.shape[1:])
        accepted = [
            context.set_input_shape(INPUT, shape),
            context.set_tensor_address(INPUT, self._input),
            *(context.set_tensor_address(name, self._buffers[name].address) for name in (SCORE, HEATMAP)),
        ]
        if not all(accepted):
            reason = self._runtime.messages.first_error()
            raise EngineError(f"tensorrt engine: the plan does not accept a batch of {count}{reason}")
        return context

    def _queue(self, context: tensorrt.IExecutionContext, count: int) -> None:
        """Queue everything that one call does on the GPU."""
        self._buffers[INPUT].upload(self._stream, count)
        samples = count * self._samples
        self._widen.launch(self._stream, samples, 1, self._buffers[INPUT].address, self._input, samples)
        if not context.execute_async_v3(self._stream.handle):
            reason = self._runtime.messages.first_error()
            raise EngineError(f"tensorrt engine: a batch of {count} was not started{reason}")
        for name in (SCORE, HEATMAP):
            self._buffers[name].download(self._stream, count)
