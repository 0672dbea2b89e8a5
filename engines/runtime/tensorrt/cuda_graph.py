"""CUDA graphs: work on a stream that is recorded once and launched many times.

PyCUDA has no calls for graphs, so the six that are needed go to the driver's library.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from engines.errors import EngineError

if TYPE_CHECKING:
    import pycuda.driver as driver

# cuda.h: CU_STREAM_CAPTURE_MODE_THREAD_LOCAL. Allocations by other threads meanwhile do not disturb this capture.
_CAPTURE_THIS_THREAD = 1


class CudaGraph:
    """A sequence of work on a stream, recorded once: one launch instead of hundreds."""

    def __init__(self, stream: driver.Stream, work: Callable[[], None]) -> None:
        """Record the work that `work` queues on the stream; none of it runs. EngineError if it cannot be recorded."""
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
        """Do the work, then end the recording even after an error: a stream that still records cannot be used."""
        try:
            work()
        finally:
            ended = self._library.cuStreamEndCapture(self._stream, ctypes.byref(graph))
        _check("cuStreamEndCapture", ended)

    def launch(self) -> None:
        """Queue the recorded work on its stream."""
        self._call("cuGraphLaunch", self._executable, self._stream)

    def free(self) -> None:
        """Free the driver's memory for it; freeing twice does no harm."""
        executable, self._executable = self._executable, ctypes.c_void_p()
        if executable.value is not None:
            self._call("cuGraphExecDestroy", executable)

    def _call(self, name: str, *arguments: Any) -> None:
        _check(name, getattr(self._library, name)(*arguments))


@cache
def _driver_library() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def _check(name: str, code: int) -> None:
    if code != 0:
        text = ctypes.c_char_p()
        _driver_library().cuGetErrorName(ctypes.c_int(code), ctypes.byref(text))
        raise EngineError(f"tensorrt engine: {name} returned {(text.value or b'?').decode()} ({code})")
