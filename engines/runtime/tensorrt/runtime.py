"""TensorRT's runtime half: its log, a plan brought to life, and whether that plan is the model that we think it is."""

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


class Diary:
    """What TensorRT says: errors are kept for the one who asked, the rest is for its developers."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def take(self, text: str, *, error: bool) -> None:
        """A line of its log."""
        line = " ".join(text.split())[:400]
        log.debug("TensorRT: %s", line)
        if error:
            self.errors.append(line)

    def why(self) -> str:
        """The first error since the last time somebody asked, in brackets; nothing where there is none."""
        errors, self.errors = self.errors, []
        return f" ({errors[0]})" if errors else ""


# TensorRT keeps the first logger for as long as any builder or runtime lives, whoever made those; 300 bytes each.
_LOGGERS: list[tensorrt.ILogger] = []


def make_logger(diary: Diary) -> tensorrt.ILogger:
    """A logger of TensorRT's own kind that writes to the diary; it lives as long as the process."""
    import tensorrt as trt

    severe = (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR)

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            # Its own constructor has to be called by this name; super() is not enough for a class from C++.
            trt.ILogger.__init__(self)

        def log(self, severity: tensorrt.ILogger.Severity, msg: str) -> None:
            diary.take(msg, error=severity in severe)

    _LOGGERS.append(Logger())
    return _LOGGERS[-1]


def start(kind: Callable[[tensorrt.ILogger], Started], logger: tensorrt.ILogger, diary: Diary) -> Started:
    """TensorRT's Builder or Runtime, whichever `kind` is; EngineError where it cannot be used.

    Where the driver is older than this TensorRT wants, its bindings turn the null pointer that they get into a
    TypeError. Without any driver 10.16 and 11.4 hand out an object all the same, which takes the process with it at
    first use, and when it is freed: so it never is.
    """
    started = None
    try:
        started = kind(logger)
    except TypeError as error:
        diary.take(str(error), error=True)
    if started is None or diary.errors:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(started))
        raise EngineError(f"tensorrt engine: TensorRT {load_tensorrt()} cannot start{diary.why()}")
    return started


class Runtime:
    """Brings plans to life. The context of the GPU has to be current."""

    def __init__(self) -> None:
        """Raises EngineError where TensorRT is missing or cannot use a GPU."""
        load_tensorrt()
        import tensorrt as trt

        self.diary = Diary()
        self._logger = make_logger(self.diary)
        self._runtime = start(trt.Runtime, self._logger, self.diary)

    def deserialize(self, plan: bytes, bundle: Bundle) -> tensorrt.ICudaEngine:
        """A plan that this device built, ready to make contexts of.

        Raises EngineError where TensorRT refuses it, or it is not the plan of this bundle.
        """
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineError(f"tensorrt engine: the plan is refused{self.diary.why()}")
        check_tensors(engine, bundle)
        return engine


def check_tensors(engine: tensorrt.ICudaEngine, bundle: Bundle) -> None:
    """Raise EngineError where a plan's tensors are not those of the bundle's graph, by name, type and shape."""
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
    """Load the library; its version. EngineError where it is missing."""
    try:
        import tensorrt as trt
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise EngineError(
            f"tensorrt engine: TensorRT cannot be loaded ({reason}); pip install 'inspectd[tensorrt]'"
        ) from error
    return str(trt.__version__)
