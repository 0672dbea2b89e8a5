"""Recording of a CUDA graph: the order of calls, and nothing left behind after an error."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from engines.errors import EngineError
from engines.runtime.tensorrt.cuda_graph import CudaGraph
from tests.support.fake_cuda import FakeDriverLibrary


def record(work: Callable[[], None] = lambda: None) -> CudaGraph:
    return CudaGraph(SimpleNamespace(handle=7), work)  # type: ignore[arg-type]


def test_graph_is_recorded_launched_and_freed_once(library: FakeDriverLibrary) -> None:
    graph = record()
    graph.launch()
    graph.free()
    graph.free()
    assert library.calls == [
        "cuStreamBeginCapture_v2",
        "cuStreamEndCapture",
        "cuGraphInstantiateWithFlags",
        "cuGraphDestroy",
        "cuGraphLaunch",
        "cuGraphExecDestroy",
    ]


def test_work_that_fails_ends_the_recording_and_leaves_no_graph(library: FakeDriverLibrary) -> None:
    def work() -> None:
        raise EngineError("a batch of 3 was not started")

    with pytest.raises(EngineError, match="a batch of 3 was not started"):
        record(work)
    assert library.calls == ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphDestroy"]


def test_graph_that_cannot_be_instantiated_is_one_line_and_leaves_no_graph(library: FakeDriverLibrary) -> None:
    library.codes["cuGraphInstantiateWithFlags"] = 1
    with pytest.raises(EngineError, match=r"cuGraphInstantiateWithFlags returned CUDA_ERROR_INVALID_VALUE \(1\)"):
        record()
    assert library.calls.count("cuGraphDestroy") == 1
