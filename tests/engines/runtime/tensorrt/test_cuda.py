"""What the GPU's side gives back when something goes wrong, on a stand-in for PyCUDA that only keeps books.

Nothing is computed here: that is for tests/gpu. What is shown is the order of things, and that errors are lines.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.bundles.bundle import Bundle, Geometry
from engines.errors import EngineError
from engines.images.preprocessing import fit
from engines.runtime.tensorrt import cuda
from engines.runtime.tensorrt.cuda import Gpu, Graph
from engines.runtime.tensorrt.engine import TensorRtEngine, _Runner
from engines.runtime.tensorrt.gpu_resize import MOST_SIZES, GpuResizer


class DriverError(Exception):
    """As `pycuda.driver.Error`."""


class Held(bytearray):
    """Memory, of the host or of the device; freed once, with the context current."""

    def __init__(self, books: Books, size: int) -> None:
        super().__init__(size)
        self._books = books
        books.take(self)

    def free(self) -> None:
        assert self._books.current > 0, "freed without a context"
        self._books.held.remove(self)

    def __int__(self) -> int:
        return id(self)

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class Books:
    """The stand-in's state: what is held, and how deep the context is on this thread."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.current = 0
        self.left = 1000
        """Allocations that succeed from now on."""

    def take(self, thing: Any) -> None:
        assert self.current > 0, "taken without a context"
        self.left -= 1
        if self.left < 0:
            raise DriverError("cuMemAlloc failed: out of memory")
        self.held.append(thing)


def gpu_of(books: Books) -> Gpu:
    """A Gpu whose driver keeps books."""

    class Stream:
        handle = 7

        def __init__(self, flags: int = 0) -> None:
            assert flags == 1, "a stream that waits for the default one"
            books.take(self)

        def synchronize(self) -> None: ...

    class Context:
        def push(self) -> None:
            books.current += 1

        @staticmethod
        def pop() -> None:
            books.current -= 1

    def pagelocked_empty(shape: tuple[int, ...], dtype: Any, mem_flags: int = 0) -> np.ndarray:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return np.ndarray(shape, dtype, buffer=Held(books, size))

    gpu = Gpu.__new__(Gpu)
    gpu._context = Context()  # type: ignore[assignment]
    gpu.shares_memory = False
    gpu.driver = SimpleNamespace(  # type: ignore[assignment]
        Error=DriverError,
        Context=Context,
        Stream=Stream,
        mem_alloc=lambda size: Held(books, size),
        pagelocked_empty=pagelocked_empty,
        memcpy_htod_async=lambda target, source, stream: None,
        memcpy_dtoh_async=lambda target, source, stream: None,
    )
    gpu.kernel = lambda name, types: SimpleNamespace(launch=lambda *arguments: None)  # type: ignore[method-assign,assignment,return-value]
    return gpu


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def gpu(books: Books) -> Gpu:
    return gpu_of(books)


@pytest.fixture
def resizer(gpu: Gpu) -> GpuResizer:
    with gpu.current():
        return GpuResizer(gpu, Geometry(32, 32, 1))


def picture(height: int) -> np.ndarray:
    return np.zeros((height, 64, 1), np.uint8)


@pytest.mark.parametrize("failing", ["push", "pop"])
def test_context_that_cannot_be_bound_or_released_is_a_line(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*arguments: Any) -> None:
        raise DriverError("cuCtxPushCurrent failed: unspecified launch failure")

    monkeypatch.setattr(type(gpu._context), failing, staticmethod(fail))
    with pytest.raises(EngineError, match="the GPU reports cuCtxPushCurrent failed"), gpu.current():
        pass


def test_error_of_the_driver_is_a_line_and_the_context_is_released(gpu: Gpu, books: Books) -> None:
    with pytest.raises(EngineError, match="the GPU reports out of memory"), gpu.current():
        raise DriverError("out of memory")
    assert books.current == 0


def test_what_went_wrong_is_not_hidden_by_a_context_that_cannot_be_released(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DriverError("cuCtxPopCurrent failed: unspecified launch failure")

    monkeypatch.setattr(type(gpu._context), "pop", staticmethod(fail))
    with pytest.raises(EngineError, match="the GPU reports out of memory"), gpu.current():
        raise DriverError("out of memory")
    with pytest.raises(EngineError, match="no such kernel"), gpu.current():
        raise EngineError("no such kernel")


@pytest.mark.parametrize("closed", [False, True])
def test_picture_that_the_gpu_cannot_shrink_is_shrunk_on_the_cpu(
    resizer: GpuResizer, books: Books, tiny_bundle: Bundle, caplog: pytest.LogCaptureFixture, closed: bool
) -> None:
    """Where its memory is full, or a camera still gives pictures while the agent stops; told once, or not at all."""
    engine = TensorRtEngine.__new__(TensorRtEngine)
    engine.bundle, engine._resizer, engine._closed, engine._resizer_fails = tiny_bundle, resizer, closed, False
    if closed:
        resizer.close()
    books.left = 0
    image = np.random.default_rng(0).integers(0, 255, (1200, 1000, 1)).astype(np.uint8)
    for _ in range(3):
        np.testing.assert_array_equal(engine.fit(image), fit(image, tiny_bundle.geometry))
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [("out of memory; pictures are shrunk on the CPU" in record.message) for record in told] == [True] * (
        not closed
    )
    assert books.left == (0 if closed else -1), "asked for memory once"


def test_resizer_gives_everything_back(resizer: GpuResizer, books: Books) -> None:
    """Its stream too, while the context is current: PyCUDA cannot free it on another thread without."""
    resizer.shrink(picture(100))
    assert len(books.held) == 1 + 2 * 8
    stream = resizer._stream
    resizer.close()
    assert resizer._stream is None
    assert books.held == [stream]
    resizer.close()
    assert books.current == 0


def test_resizer_keeps_the_latest_sizes_only(resizer: GpuResizer, books: Books) -> None:
    for height in [*range(40, 60), 40]:
        resizer.shrink(picture(height))
        resizer.shrink(picture(59))
    assert len(books.held) == 1 + 2 * 8 * MOST_SIZES
    assert set(resizer._plans) == {(height, 64, 1) for height in (57, 58, 40, 59)}


@pytest.mark.parametrize("allocations", range(16))
def test_resizer_without_memory_holds_nothing_of_that_size(resizer: GpuResizer, books: Books, allocations: int) -> None:
    books.left = allocations
    with pytest.raises(EngineError, match="out of memory"):
        resizer.shrink(picture(100))
    assert len(books.held) == 1
    books.left = 100
    resizer.shrink(picture(100))
    assert len(books.held) == 1 + 2 * 8


class Library:
    """libcuda's graph functions, by name: each says 0, or the code that it is told to."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            self.called.append(name)
            if name == "cuStreamEndCapture":
                arguments[1]._obj.value = 11
            if name == "cuGraphInstantiateWithFlags" and name not in self.codes:
                arguments[0]._obj.value = 22
            if name == "cuGetErrorName":
                arguments[1]._obj.value = b"CUDA_ERROR_INVALID_VALUE"
            return self.codes.get(name, 0)

        return call


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(cuda, "_driver_library", lambda: made)
    return made


def record(work: Any = lambda: None) -> Graph:
    return Graph(SimpleNamespace(handle=7), work)  # type: ignore[arg-type]


def test_graph_is_recorded_launched_and_freed_once(library: Library) -> None:
    graph = record()
    graph.launch()
    graph.free()
    graph.free()
    assert library.called == [
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
        "cuGraphLaunch",
        "cuGraphExecDestroy",
    ]


def test_work_that_fails_ends_the_recording_and_leaves_no_graph(library: Library) -> None:
    def work() -> None:
        raise EngineError("a batch of 3 was not started")

    with pytest.raises(EngineError, match="a batch of 3 was not started"):
        record(work)
    assert library.called == ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"]


def test_graph_that_cannot_be_made_ready_is_a_line_and_leaves_no_graph(library: Library) -> None:
    library.codes["cuGraphInstantiateWithFlags"] = 1
    with pytest.raises(EngineError, match=r"cuGraphInstantiateWithFlags says CUDA_ERROR_INVALID_VALUE \(1\)"):
        record()
    assert library.called.count("cuGraphDestroy") == 1


def test_runner_gives_all_the_rest_back_where_a_graph_cannot_be_freed(gpu: Gpu, books: Books, library: Library) -> None:
    """After an error of the GPU each call fails; what the host holds is to be free nevertheless."""
    library.codes["cuGraphExecDestroy"] = 700
    runner = _Runner.__new__(_Runner)
    with gpu.current():
        runner._plan, runner._memory = object(), [gpu.driver.mem_alloc(8)]  # type: ignore[assignment,list-item]
        runner._buffers = {"frames": cuda.Buffer(gpu, (2, 3), np.uint8)}
        runner._batches = {count: (object(), record()) for count in (1, 2)}  # type: ignore[misc]
        with pytest.raises(EngineError, match="cuGraphExecDestroy"):
            runner.close()
    assert books.held == []
    assert runner._batches == {}
    assert library.called.count("cuGraphExecDestroy") == 2
