"""The GPU through PyCUDA: its context, kernels and page-locked buffers.

The process has one context, the primary one, and shares it with TensorRT. A context must be bound to the thread that
uses it: everything on the GPU runs inside `with gpu.current():`, on any thread.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from engines.errors import EngineError

if TYPE_CHECKING:
    import pycuda.driver as driver

# cuda.h: CU_STREAM_NON_BLOCKING; PyCUDA has no name for it. While an ordinary stream is recorded, all work of other
# threads on the default stream (PyTorch's, ONNX Runtime's) fails with CUDA_ERROR_STREAM_CAPTURE_IMPLICIT.
_NON_BLOCKING = 1

BLOCK = 256
"""Threads of a block: full occupancy for kernels as small as ours, from Turing on."""


class CudaDevice:
    """The first CUDA device of the process, with its primary context and our kernels; `open_gpu` returns it."""

    def __init__(self) -> None:
        """Raise EngineError if PyCUDA, the driver or a GPU is missing."""
        self.driver = _load_pycuda()
        try:
            self.driver.init()
            device = self.driver.Device(0)
            self._context = device.retain_primary_context()
        except self.driver.Error as error:
            raise EngineError(f"tensorrt engine: no usable GPU ({_line(error)})") from None
        self.name = str(device.name())
        """The driver's name for it."""
        self.compute_capability = "{}.{}".format(*device.compute_capability())
        """Such as 8.7."""
        self.total_bytes = int(device.total_memory())
        """Its memory; if it shares the CPU's, all of that."""
        self.shares_memory = bool(device.get_attribute(self.driver.device_attribute.INTEGRATED))
        """Whether CPU and GPU share one memory, as on a Jetson: then nothing is copied."""
        with self.current():
            ptx = (files("engines.runtime.tensorrt") / "kernels" / "frames.ptx").read_bytes()
            self._module = self.driver.module_from_buffer(ptx + b"\0")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Bind the context to this thread; errors of the driver, also of binding, become EngineErrors."""
        with self._errors_as_lines():
            self._context.push()
        try:
            with self._errors_as_lines():
                yield
        except BaseException:
            # After some errors of the GPU this fails as well, and would hide the first error.
            with suppress(self.driver.Error):
                self.driver.Context.pop()
            raise
        with self._errors_as_lines():
            self.driver.Context.pop()

    @contextmanager
    def _errors_as_lines(self) -> Iterator[None]:
        try:
            yield
        except self.driver.Error as error:
            raise EngineError(f"tensorrt engine: the GPU reports {_line(error)}") from error

    def stream(self) -> driver.Stream:
        """A new stream. Drop it while the context is current: otherwise PyCUDA leaks it on another thread."""
        opened: driver.Stream = self.driver.Stream(_NON_BLOCKING)
        return opened

    def kernel(self, name: str, argument_types: str) -> Kernel:
        """A kernel of `kernels/frames.cu`; argument types as in `struct`: P pointer, i integer."""
        function = self._module.get_function(name)
        function.prepare(argument_types)
        return Kernel(function)

    def free_bytes(self) -> int:
        """Free memory of the device."""
        with self.current():
            return int(self.driver.mem_get_info()[0])


class Kernel:
    """A function on the GPU."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def launch(self, stream: driver.Stream, columns: int, rows: int, *arguments: int) -> None:
        """Queue it with `columns` × `rows` threads, rounded up to whole blocks along the columns."""
        blocks = (columns + BLOCK - 1) // BLOCK
        self._function.prepared_async_call((blocks, rows), (BLOCK, 1, 1), stream, *arguments)


class Buffer:
    """An array on both sides: page-locked memory on the host and its counterpart on the device.

    If CPU and GPU share their memory, both are the same memory and nothing is copied, unless the buffer is `cached`.
    Create and free it while the context is current.
    """

    def __init__(self, gpu: CudaDevice, shape: tuple[int, ...], dtype: DTypeLike, *, cached: bool = False) -> None:
        """Allocate both sides.

        Args:
            gpu: the device; its context is current on this thread.
            shape: shape of the host's array.
            dtype: dtype of the host's array.
            cached: the GPU reads it repeatedly. A Jetson's GPU does not cache memory that the host sees ("CUDA for
                Tegra"), so such a buffer is copied there, too.
        """
        self._gpu = gpu
        shared = gpu.shares_memory and not cached
        flags = gpu.driver.host_alloc_flags.DEVICEMAP if shared else 0
        self.host: NDArray[Any] = gpu.driver.pagelocked_empty(shape, dtype, mem_flags=flags)
        """The host's array."""
        self._device: driver.DeviceAllocation | None = None
        try:
            if shared:
                self.address = int(self.host.base.get_device_pointer())
            else:
                self._device = gpu.driver.mem_alloc(self.host.nbytes)
                self.address = int(self._device)
        except BaseException:
            self.free()
            raise

    def upload(self, stream: driver.Stream, rows: int) -> None:
        """Queue the copy of the first rows to the device."""
        if self._device is not None:
            self._gpu.driver.memcpy_htod_async(self._device, self.host[:rows], stream)

    def download(self, stream: driver.Stream, rows: int) -> None:
        """Queue the copy of the first rows to the host."""
        if self._device is not None:
            self._gpu.driver.memcpy_dtoh_async(self.host[:rows], self._device, stream)

    def free(self) -> None:
        """Free both sides; the host's array must not be used afterwards."""
        if self._device is not None:
            self._device.free()
            self._device = None
        allocation, self.host = self.host.base, np.empty(0, self.host.dtype)
        if allocation is not None:
            allocation.free()  # type: ignore[attr-defined]


_opening = threading.Lock()


def open_gpu() -> CudaDevice:
    """The process's GPU, the same object every time; EngineError if there is none."""
    with _opening:
        return _open_gpu()


@cache
def _open_gpu() -> CudaDevice:
    """Open the GPU and never release it: PyCUDA would detach the primary context, which it does not own."""
    gpu = CudaDevice()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(gpu))
    return gpu


def _load_pycuda() -> ModuleType:
    try:
        import pycuda.driver as module
    except ImportError as error:
        raise EngineError(
            f"tensorrt engine: PyCUDA cannot be loaded ({_line(error)}); pip install 'inspectd[tensorrt]'"
        ) from error
    return module


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
