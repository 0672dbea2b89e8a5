"""Pictures of a camera shrunk to the model's input on the GPU, so that a 4 K frame does not cost a CPU core."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from engines.bundles import Geometry
from engines.errors import EngineError
from engines.images import Image, spans
from engines.runtime.tensorrt.cuda import Buffer, Gpu

if TYPE_CHECKING:
    import pycuda.driver as driver

# Sizes of pictures whose buffers are kept: a camera has one. Pictures of a folder may all be of different sizes.
MOST_SIZES = 4

# Below this the picture is shrunk on the CPU in less time than the way to the GPU and back takes.
LEAST_SAMPLES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Plan:
    """What shrinking one kind of picture needs: its buffers, and the tables of both axes."""

    source: Buffer
    target: Buffer
    tables: tuple[Buffer, ...]
    strides: tuple[int, int]

    def free(self) -> None:
        with ExitStack() as stack:  # all of them, also where one cannot be freed
            for buffer in (self.source, self.target, *self.tables):
                stack.callback(buffer.free)


class GpuResizer:
    """Shrinks by area (`engines.images.shrinking`) for any number of threads; the cameras of a line take turns."""

    def __init__(self, gpu: Gpu, geometry: Geometry) -> None:
        """Args: gpu: open, current on this thread. geometry: the model's input."""
        self._gpu, self._geometry = gpu, geometry
        self._busy = threading.Lock()
        self._stream: driver.Stream | None = gpu.stream()
        self._kernel = gpu.kernel(f"shrink_{geometry.bit_depth}", "PiiPiiPPPiPPPi")
        self._plans: dict[tuple[int, ...], _Plan] = {}

    def wants(self, image: Image) -> bool:
        """Whether the picture is worth the way: large, larger than the input on both axes, of the model's own kind."""
        geometry = self._geometry
        return (
            image.size >= LEAST_SAMPLES
            and image.ndim == 3
            and image.shape[0] >= geometry.height
            and image.shape[1] >= geometry.width
            and image.shape[2] == geometry.channels
            and image.dtype == geometry.dtype
        )

    def shrink(self, image: Image) -> Image:
        """A picture that it `wants`, [H, W, C], as the model's input [h, w, c], the caller's to keep."""
        geometry = self._geometry
        with self._busy, self._gpu.current():
            stream = self._stream
            if stream is None:
                raise EngineError("tensorrt engine: already closed")
            plan = self._plan(image.shape, stream)
            np.copyto(plan.source.host, image)
            plan.source.upload(stream, len(image))
            columns = geometry.width * geometry.channels
            rows_first, rows_count, rows_weight, *across = (table.address for table in plan.tables)
            self._kernel.launch(
                stream,
                columns,
                geometry.height,
                plan.source.address,
                image.shape[1],
                geometry.channels,
                plan.target.address,
                geometry.width,
                geometry.height,
                rows_first,
                rows_count,
                rows_weight,
                plan.strides[0],
                *across,
                plan.strides[1],
            )
            plan.target.download(stream, geometry.height)
            stream.synchronize()
            shrunk: Image = plan.target.host.copy()
            return shrunk

    def close(self) -> None:
        """Give all buffers back; closing twice is fine."""
        with self._busy, self._gpu.current(), ExitStack() as stack:
            self._stream = None
            for plan in self._plans.values():
                stack.callback(plan.free)
            self._plans.clear()

    def _plan(self, shape: tuple[int, ...], stream: driver.Stream) -> _Plan:
        """Made once for each size of picture, of which the latest few are kept."""
        plan = self._plans.pop(shape, None)
        if plan is None:
            while len(self._plans) >= MOST_SIZES:
                self._plans.pop(next(iter(self._plans))).free()
            plan = self._make(shape, stream)
        self._plans[shape] = plan
        return plan

    def _make(self, shape: tuple[int, ...], stream: driver.Stream) -> _Plan:
        """Buffers and tables for one size; where there is no memory for all of them, none is kept."""
        geometry = self._geometry
        rows, columns = spans(shape[0], geometry.height), spans(shape[1], geometry.width)
        with ExitStack() as made:

            def buffer(shape: tuple[int, ...], dtype: DTypeLike, *, cached: bool) -> Buffer:
                new = Buffer(self._gpu, shape, dtype, cached=cached)
                made.callback(new.free)
                return new

            source = buffer(shape, geometry.dtype, cached=True)
            target = buffer(geometry.shape, geometry.dtype, cached=False)
            tables = []
            for table in (rows.first, rows.count, rows.weight, columns.first, columns.count, columns.weight):
                tables.append(buffer(table.shape, table.dtype, cached=True))
                np.copyto(tables[-1].host, table)
                tables[-1].upload(stream, len(table))
            made.pop_all()
        return _Plan(source, target, tuple(tables), (rows.weight.shape[1], columns.weight.shape[1]))
