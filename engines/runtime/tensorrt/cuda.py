"""The GPU, by way of PyCUDA: its context, page-locked buffers, kernels, and graphs of what is done over and over.

One context for the whole process, the primary one, which TensorRT shares. A context is bound to a thread while it is
used: `with gpu.current():` around everything, on whichever thread it is. PyCUDA has no calls for graphs; the six that
are needed go to the driver's library.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
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

# cuda.h: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL. What other threads allocate meanwhile is none of this capture's business.
_CAPTURE_THIS_THREAD = 1

# cuda.h: CU_STREAM_NON_BLOCKING, which PyCUDA has no name for. While an ordinary stream is recorded, whatever another
# thread does on the default stream, PyTorch's and ONNX Runtime's, fails with CUDA_ERROR_STREAM_CAPTURE_IMPLICIT.
_NON_BLOCKING = 1

BLOCK = 256
"""Threads of a block: full occupancy for kernels as small as ours, from Turing on."""


class Gpu:
    """The first CUDA device of the process, with its primary context and our kernels; made by `open_gpu`."""

    def __init__(self) -> None:
        """Raises EngineError where PyCUDA, the driver or a GPU is missing."""
        self.driver = _load_pycuda()
        try:
            self.driver.init()
            device = self.driver.Device(0)
            self._context = device.retain_primary_context()
        except self.driver.Error as error:
            raise EngineError(f"tensorrt engine: no usable GPU ({_line(error)})") from None
        self.name = str(device.name())
        """As the driver names it."""
        self.compute_capability = "{}.{}".format(*device.compute_capability())
        """Such as 8.7."""
        self.total_bytes = int(device.total_memory())
        """Its memory; where it shares the CPU's, all of that."""
        self.shares_memory = bool(device.get_attribute(self.driver.device_attribute.INTEGRATED))
        """Whether CPU and GPU have the same memory, as on a Jetson: nothing is copied then."""
        with self.current():
            ptx = (files("engines.runtime.tensorrt") / "kernels" / "frames.ptx").read_bytes()
            self._module = self.driver.module_from_buffer(ptx + b"\0")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Bind the context to this thread; the driver's errors, those of binding too, become EngineErrors."""
        with self._errors_as_lines():
            self._context.push()
        try:
            with self._errors_as_lines():
                yield
        except BaseException:
            # After some errors of the GPU this fails as well, and would hide what went wrong.
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
        """A stream of its own. To be dropped with the context current: PyCUDA leaks it on another thread otherwise."""
        opened: driver.Stream = self.driver.Stream(_NON_BLOCKING)
        return opened

    def kernel(self, name: str, argument_types: str) -> Kernel:
        """One of `kernels/frames.cu`; the types are those of `struct`: P pointer, i integer."""
        function = self._module.get_function(name)
        function.prepare(argument_types)
        return Kernel(function)

    def free_bytes(self) -> int:
        """Memory that the device has left."""
        with self.current():
            return int(self.driver.mem_get_info()[0])


class Kernel:
    """A function on the GPU."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def launch(self, stream: driver.Stream, columns: int, rows: int, *arguments: int) -> None:
        """Queue it for `columns` × `rows` threads, rounded up to whole blocks along the columns."""
        blocks = (columns + BLOCK - 1) // BLOCK
        self._function.prepared_async_call((blocks, rows), (BLOCK, 1, 1), stream, *arguments)


class Buffer:
    """An array that both sides see: page-locked on the host, with its place on the device.

    Where both have the same memory the two are one and nothing is copied, unless it is `cached`. To be made and freed
    with the context current.
    """

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], dtype: DTypeLike, *, cached: bool = False) -> None:
        """Args:
        gpu: open, current on this thread.
        shape: of the host's array.
        dtype: of the host's array.
        cached: the GPU reads it over and over: a Jetson's does not cache what the host can see ("CUDA for Tegra").
        """
        self._gpu = gpu
        shared = gpu.shares_memory and not cached
        flags = gpu.driver.host_alloc_flags.DEVICEMAP if shared else 0
        self.host: NDArray[Any] = gpu.driver.pagelocked_empty(shape, dtype, mem_flags=flags)
        """The host's side."""
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
        """Queue the first rows to the device."""
        if self._device is not None:
            self._gpu.driver.memcpy_htod_async(self._device, self.host[:rows], stream)

    def download(self, stream: driver.Stream, rows: int) -> None:
        """Queue the first rows to the host."""
        if self._device is not None:
            self._gpu.driver.memcpy_dtoh_async(self.host[:rows], self._device, stream)

    def free(self) -> None:
        """Give both sides back; the host's array is not to be touched again."""
        if self._device is not None:
            self._device.free()
            self._device = None
        allocation, self.host = self.host.base, np.empty(0, self.host.dtype)
        if allocation is not None:
            allocation.free()  # type: ignore[attr-defined]


class Graph:
    """A sequence of work on a stream, recorded once: one launch instead of hundreds."""

    def __init__(self, stream: driver.Stream, work: Callable[[], None]) -> None:
        """Record what `work` queues on the stream; nothing of it runs. EngineError where it cannot be recorded."""
        self._library = _driver_library()
        self._stream = ctypes.c_void_p(stream.handle)
        self._executable = ctypes.c_void_p()
        graph = ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", self._stream, ctypes.c_int(_CAPTURE_THIS_THREAD))
        try:
            self._record(work, graph)
            self._call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), graph, ctypes.c_ulonglong(0))
        finally:
            if graph.value is not None:
                self._call("cuGraphDestroy", graph)

    def _record(self, work: Callable[[], None], graph: ctypes.c_void_p) -> None:
        """Do the work and end the recording, whatever happened: a stream that still records is of no use."""
        try:
            work()
        finally:
            ended = self._library.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        _check("cuStreamEndCapture", ended)

    def launch(self) -> None:
        """Queue it on its stream."""
        self._call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Give back what the driver holds for it."""
        executable, self._executable = self._executable, ctypes.c_void_p()
        if executable.value is not None:
            self._call("cuGraphExecDestroy", executable)

    def _call(self, name: str, *arguments: Any) -> None:
        _check(name, getattr(self._library, name)(*arguments))


_opening = threading.Lock()


def open_gpu() -> Gpu:
    """The process's GPU; the same one every time. EngineError where there is none."""
    with _opening:
        return _open_gpu()


@cache
def _open_gpu() -> Gpu:
    """It lives as long as the process: at the end PyCUDA would detach a context that it has only borrowed."""
    gpu = Gpu()
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


@cache
def _driver_library() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def _check(name: str, code: int) -> None:
    if code != 0:
        text = ctypes.c_char_p()
        _driver_library().cuGetErrorName(ctypes.c_int(code), ctypes.byref(text))
        raise EngineError(f"tensorrt engine: {name} says {(text.value or b'?').decode()} ({code})")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
