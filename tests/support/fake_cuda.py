"""A stand-in for PyCUDA and libcuda that only keeps accounts: what is allocated, and whether a context is current.

It computes nothing. It shows the order of calls, what is freed after an error, and that errors are one line. The same
code runs on a driver that computes in `tests/gpu`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


class DriverError(Exception):
    """`pycuda.driver.Error`."""


class Ledger:
    """The accounts of the stand-in."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        """Streams and memory that are not freed."""
        self.depth = 0
        """How often the context is pushed on this thread."""
        self.left = 1000
        """Allocations that still succeed; negative after a failed one."""
        self.failing: set[str] = set()
        """Calls of the context that fail: push, pop."""

    def take(self, thing: Any) -> None:
        """Record an allocation."""
        assert self.depth > 0, "allocated without a context"
        self.left -= 1
        if self.left < 0:
            raise DriverError("cuMemAlloc failed: out of memory")
        self.held.append(thing)


class Memory(bytearray):
    """Memory of the host or of the device; freed once, while the context is current."""

    def __init__(self, ledger: Ledger, size: int) -> None:
        super().__init__(size)
        self._ledger = ledger
        ledger.take(self)

    def free(self) -> None:
        assert self._ledger.depth > 0, "freed without a context"
        self._ledger.held.remove(self)

    def __int__(self) -> int:
        return id(self)

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


def fake_pycuda(ledger: Ledger) -> ModuleType:
    """The module `pycuda.driver` with the calls that our code makes."""

    class Stream:
        handle = 7

        def __init__(self, flags: int = 0) -> None:
            assert flags == 1, "a stream that waits for the default stream"
            ledger.take(self)

        def synchronize(self) -> None: ...

    class Context:
        def push(self) -> None:
            _fail_if("push")
            ledger.depth += 1

        @staticmethod
        def pop() -> None:
            _fail_if("pop")
            ledger.depth -= 1

        @staticmethod
        def synchronize() -> None: ...

    class Function:
        def prepare(self, arg_types: str) -> None: ...
        def prepared_async_call(self, grid: Any, block: Any, stream: Stream, *args: int) -> None: ...

    class Module:
        def get_function(self, name: str) -> Function:
            return Function()

    class Device:
        def __init__(self, number: int) -> None: ...
        def name(self) -> str:
            return "stand-in"

        def compute_capability(self) -> tuple[int, int]:
            return 8, 7

        def total_memory(self) -> int:
            return 2**32

        def get_attribute(self, attribute: Any) -> int:
            return 0

        def retain_primary_context(self) -> Context:
            return Context()

    def _fail_if(call: str) -> None:
        if call in ledger.failing:
            raise DriverError(f"cuCtx{call.title()}Current failed: unspecified launch failure")

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any, mem_flags: int = 0) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.ndarray(shape, dtype, buffer=Memory(ledger, size))

    module: Any = ModuleType("pycuda.driver")
    module.Error, module.Stream, module.Context, module.Device = DriverError, Stream, Context, Device
    module.init = lambda: None
    module.device_attribute = type("device_attribute", (), {"INTEGRATED": 18})
    module.module_from_buffer = lambda buffer: Module()
    module.mem_alloc = lambda size: Memory(ledger, size)
    module.pagelocked_empty = pagelocked_empty
    module.memcpy_htod_async = lambda target, source, stream: None
    module.memcpy_dtoh_async = lambda target, source, stream: None
    return module  # type: ignore[no-any-return]


class FakeDriverLibrary:
    """libcuda's graph functions by name. Each returns 0, or its code in `codes`."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.calls.append(name)
            if name == "cuStreamEndCapture":
                arguments[1]._obj.value = 11
            if name == "cuGraphInstantiateWithFlags" and name not in self.codes:
                arguments[0]._obj.value = 22
            if name == "cuGetErrorName":
                arguments[1]._obj.value = b"CUDA_ERROR_INVALID_VALUE"
            return self.codes.get(name, 0)

        return call
