"""Pictures of a camera shrunk to the model's input on the GPU, so that a 4 K frame does not cost a CPU core."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from engines.area import spans
from engines.bundle import Geometry
from engines.cuda import Buffer, Gpu
from engines.errors import EngineError
from engines.preprocessing import Image

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
        for buffer in (self.source, self.target, *self.tables):
            buffer.free()


class GpuResizer:
    """Shrinks by area (`engines.area`) for any number of threads; the cameras of a line take turns."""

    def __init__(self, gpu: Gpu, geometry: Geometry) -> None:
        """Args: gpu: open, current on this thread. geometry: the model's input."""
        self._gpu, self._geometry = gpu, geometry
        self._busy = threading.Lock()
        self._closed = False
        self._stream = gpu.driver.Stream()
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
            if self._closed:
                raise EngineError("tensorrt engine: already closed")
            plan = self._plan(image.shape)
            np.copyto(plan.source.host, image)
            plan.source.upload(self._stream, len(image))
            columns = geometry.width * geometry.channels
            rows_first, rows_count, rows_weight, *across = (table.address for table in plan.tables)
            self._kernel.launch(
                self._stream,
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
            plan.target.download(self._stream, geometry.height)
            self._stream.synchronize()
            shrunk: Image = plan.target.host.copy()
            return shrunk

    def close(self) -> None:
        """Give all buffers back; closing twice is fine."""
        with self._busy, self._gpu.current():
            self._closed = True
            for plan in self._plans.values():
                plan.free()
            self._plans.clear()

    def _plan(self, shape: tuple[int, ...]) -> _Plan:
        """Made once for each size of picture; a camera has one."""
        if shape not in self._plans:
            geometry = self._geometry
            rows, columns = spans(shape[0], geometry.height), spans(shape[1], geometry.width)
            source = Buffer(self._gpu, shape, geometry.dtype)
            target = Buffer(self._gpu, geometry.shape, geometry.dtype)
            tables = []
            for table in (rows.first, rows.count, rows.weight, columns.first, columns.count, columns.weight):
                buffer = Buffer(self._gpu, table.shape, table.dtype)
                np.copyto(buffer.host, table)
                buffer.upload(self._stream, len(table))
                tables.append(buffer)
            strides = rows.weight.shape[1], columns.weight.shape[1]
            self._plans[shape] = _Plan(source, target, tuple(tables), strides)
        return self._plans[shape]
