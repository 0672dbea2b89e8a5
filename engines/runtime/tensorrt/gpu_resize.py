"""Shrink a camera's images to the model's input on the GPU, so that 4K frames do not take a CPU core."""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import DTypeLike

from engines.bundles import Geometry
from engines.errors import EngineError
from engines.images import Image, check_image, fit, spans
from engines.runtime.tensorrt.cuda import Buffer, CudaDevice

if TYPE_CHECKING:
    import pycuda.driver as driver

log = logging.getLogger(__name__)

# Buffers are kept for so many image sizes. A camera has one size; the images of a folder may all differ.
MOST_SIZES = 4

# The CPU shrinks smaller images in less time than their transfer to the GPU and back takes.
LEAST_SAMPLES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _SizeBuffers:
    """The buffers for one image size, and the tables of both axes."""

    source: Buffer
    target: Buffer
    tables: tuple[Buffer, ...]
    strides: tuple[int, int]

    def free(self) -> None:
        with ExitStack() as stack:  # frees all of them, even if one cannot be freed
            for buffer in (self.source, self.target, *self.tables):
                stack.callback(buffer.free)


class GpuResizer:
    """Shrinks by area (`engines.images.shrinking`). Thread-safe: cameras take turns."""

    def __init__(self, gpu: CudaDevice, geometry: Geometry) -> None:
        """Prepare for the model's input `geometry`; the context of `gpu` must be current on this thread."""
        self._gpu, self._geometry = gpu, geometry
        self._busy = threading.Lock()
        self._stream: driver.Stream | None = gpu.stream()
        self._kernel = gpu.kernel(f"shrink_{geometry.bit_depth}", "PiiPiiPPPiPPPi")
        self._sizes: dict[tuple[int, ...], _SizeBuffers] = {}

    def wants(self, image: Image) -> bool:
        """Whether the GPU should shrink this image: large, not below the input on either axis, same kind of samples."""
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
        """Shrink an image that it `wants`, [H, W, C], to the model's input [h, w, c]; the caller owns the result."""
        geometry = self._geometry
        with self._busy, self._gpu.current():
            stream = self._stream
            if stream is None:
                raise EngineError("tensorrt engine: already closed")
            buffers = self._buffers_for(image.shape, stream)
            np.copyto(buffers.source.host, image)
            buffers.source.upload(stream, len(image))
            self._launch(buffers, stream)
            buffers.target.download(stream, geometry.height)
            stream.synchronize()
            shrunk: Image = buffers.target.host.copy()
            return shrunk

    def _launch(self, buffers: _SizeBuffers, stream: driver.Stream) -> None:
        """Queue the kernel; the order of its arguments is that of `kernels/frames.cu`."""
        geometry = self._geometry
        addresses = [table.address for table in buffers.tables]
        self._kernel.launch(
            stream,
            geometry.width * geometry.channels,
            geometry.height,
            *(buffers.source.address, buffers.source.host.shape[1], geometry.channels),
            *(buffers.target.address, geometry.width, geometry.height),
            *(*addresses[:3], buffers.strides[0]),
            *(*addresses[3:], buffers.strides[1]),
        )

    def close(self) -> None:
        """Free all buffers; closing twice does no harm."""
        with self._busy, self._gpu.current(), ExitStack() as stack:
            self._stream = None
            for buffers in self._sizes.values():
                stack.callback(buffers.free)
            self._sizes.clear()

    def _buffers_for(self, shape: tuple[int, ...], stream: driver.Stream) -> _SizeBuffers:
        """The buffers for one image size; those of the most recent sizes are kept."""
        buffers = self._sizes.pop(shape, None)
        if buffers is None:
            while len(self._sizes) >= MOST_SIZES:
                self._sizes.pop(next(iter(self._sizes))).free()
            buffers = self._allocate(shape, stream)
        self._sizes[shape] = buffers
        return buffers

    def _allocate(self, shape: tuple[int, ...], stream: driver.Stream) -> _SizeBuffers:
        """Buffers and tables for one size; frees all of them if the memory does not suffice."""
        geometry = self._geometry
        rows, columns = spans(shape[0], geometry.height), spans(shape[1], geometry.width)
        with ExitStack() as allocated:

            def buffer(shape: tuple[int, ...], dtype: DTypeLike, *, cached: bool) -> Buffer:
                new = Buffer(self._gpu, shape, dtype, cached=cached)
                allocated.callback(new.free)
                return new

            source = buffer(shape, geometry.dtype, cached=True)
            target = buffer(geometry.shape, geometry.dtype, cached=False)
            tables = []
            for table in (rows.first, rows.count, rows.weight, columns.first, columns.count, columns.weight):
                tables.append(buffer(table.shape, table.dtype, cached=True))
                np.copyto(tables[-1].host, table)
                tables[-1].upload(stream, len(table))
            allocated.pop_all()
        return _SizeBuffers(source, target, tuple(tables), (rows.weight.shape[1], columns.weight.shape[1]))


class ImageFitter:
    """Fits images to the model's input: large ones on the GPU, small ones on the CPU. Thread-safe.

    After the first failure of the GPU the CPU fits all images.
    """

    def __init__(self, resizer: GpuResizer, geometry: Geometry) -> None:
        """Take over the resizer for the model's input `geometry`; `close` closes it."""
        self._resizer, self._geometry = resizer, geometry
        self._use_gpu = True

    def fit(self, image: Image) -> Image:
        """As `engines.images.fit`, within one grey level; ImageError if the array is no image or of another depth."""
        check_image(image)
        if self._use_gpu and self._resizer.wants(image):
            try:
                return self._resizer.shrink(image)
            except EngineError as error:
                # After close() this is no failure: cameras may still deliver images while the agent stops.
                if self._use_gpu:
                    log.warning("%s; images are shrunk on the CPU from now on", error)
                # Not tried again: a request for memory that the GPU does not have would take time with every image.
                self._use_gpu = False
        return fit(image, self._geometry)

    def close(self) -> None:
        """Free the GPU's buffers; images are fitted on the CPU afterwards. Closing twice does no harm."""
        self._use_gpu = False
        self._resizer.close()
