"""TensorRT's runtime: its log, loading a plan, and the check that the plan belongs to the bundle."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from engines.bundles import Bundle
from engines.errors import EngineError

if TYPE_CHECKING:
    import tensorrt

log = logging.getLogger(__name__)

Started = TypeVar("Started")

INPUT, SCORE, HEATMAP = "frames", "score", "heatmap"
"""Tensors of a plan, as the bundle's graph names them."""


class TensorRtMessages:
    """TensorRT's log messages: errors are kept for the caller, everything goes to our debug log."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        """Errors since the last `first_error`."""

    def add(self, text: str, *, error: bool) -> None:
        """Add a message."""
        line = " ".join(text.split())[:400]
        log.debug("TensorRT: %s", line)
        if error:
            self.errors.append(line)

    def first_error(self) -> str:
        """The first error since the last call, as ` (text)` for the end of a sentence; empty if there is none."""
        errors, self.errors = self.errors, []
        return f" ({errors[0]})" if errors else ""


# TensorRT keeps the first logger as long as any builder or runtime exists; so all of them are kept, 300 bytes each.
_LOGGERS: list[tensorrt.ILogger] = []


def make_logger(messages: TensorRtMessages) -> tensorrt.ILogger:
    """A TensorRT logger that adds to `messages`; it is never released."""
    import tensorrt as trt

    severe = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            # pybind11 needs the explicit call: super() does not construct the C++ part.
            trt.ILogger.__init__(self)

        def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
            messages.add(msg, error=severity in severe)

    _LOGGERS.append(Logger())
    return _LOGGERS[-1]


def start(kind: Callable[[tensorrt.ILogger], Started], logger: tensorrt.ILogger, messages: TensorRtMessages) -> Started:
    """Construct TensorRT's Builder or Runtime, as `kind` says; EngineError if it cannot be used.

    If the driver is older than this TensorRT requires, the library returns a null pointer and the bindings raise
    TypeError. Without any driver, 10.16 and 11.4 return an object that crashes the process at its first use and when it
    is freed: so it is never freed.
    """
    started = None
    try:
        started = kind(logger)
    except TypeError as error:
        messages.add(str(error), error=True)
    if started is None or messages.errors:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(started))
        raise EngineError(f"tensorrt engine: TensorRT {load_tensorrt()} cannot start{messages.first_error()}")
    return started


class Runtime:
    """Loads plans. The context of the GPU must be current."""

    def __init__(self) -> None:
        """Raise EngineError if TensorRT is missing or cannot use a GPU."""
        load_tensorrt()
        import tensorrt as trt

        self.messages = TensorRtMessages()
        self._logger = make_logger(self.messages)
        self._runtime = start(trt.Runtime, self._logger, self.messages)

    def deserialize(self, plan: bytes, bundle: Bundle) -> tensorrt.ICudaEngine:
        """Load a plan that this device built; EngineError if TensorRT rejects it, or it belongs to another bundle."""
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"tensorrt engine: the plan is rejected{self.messages.first_error()}")
        check_tensors(engine, bundle)
        return engine


def check_tensors(engine: tensorrt.ICudaEngine, bundle: Bundle) -> None:
    """Raise EngineError if a plan's tensors differ from those of the bundle's graph in name, type or shape."""
    import tensorrt as trt

    wanted = {
        INPUT: (trt.TensorIOMode.INPUT, (-1, *bundle.geometry.shape)),
        SCORE: (trt.TensorIOMode.OUTPUT, (-1,)),
        HEATMAP: (trt.TensorIOMode.OUTPUT, (-1, *bundle.heatmap_shape)),
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    if sorted(names) != sorted(wanted):
        raise EngineError(f"tensorrt engine: the plan has {', '.join(names)}, wanted {', '.join(wanted)}")
    for name, (mode, shape) in wanted.items():
        got = tuple(engine.get_tensor_shape(name))
        if engine.get_tensor_mode(name) != mode or got != shape or engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
            raise EngineError(
                f"tensorrt engine: {name} of the plan is {engine.get_tensor_dtype(name)} {got}, wanted float32 {shape}"
            )


def load_tensorrt() -> str:
    """Import the library and return its version; EngineError if it is missing."""
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EngineError(
            f"tensorrt engine: TensorRT cannot be loaded ({reason}); pip install 'inspectd[tensorrt]'"
        ) from error
    return str(trt.__version__)
