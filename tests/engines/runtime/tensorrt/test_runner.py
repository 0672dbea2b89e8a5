"""The runner of a plan frees what it holds. `tests/gpu/test_cuda.py` runs it on a driver that computes."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.errors import EngineError
from engines.runtime.tensorrt.cuda import CudaDevice
from engines.runtime.tensorrt.runner import PlanRunner
from engines.runtime.tensorrt.runtime import TensorRtMessages
from tests.support.fake_cuda import FakeDriverLibrary, Ledger
from tests.support.fake_plan import FAKE_TENSORRT, FakePlan

pytestmark = pytest.mark.usefixtures("library")

MAX_BATCH = 3

# Host and device memory of three buffers, the network's input and its scratch memory.
ALLOCATIONS = 2 * 3 + 2


@pytest.fixture(autouse=True)
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", FAKE_TENSORRT)


def runner_of(gpu: CudaDevice, bundle: Bundle, plan: FakePlan) -> PlanRunner:
    runtime: Any = SimpleNamespace(messages=TensorRtMessages())
    return PlanRunner(gpu, plan, runtime, bundle, MAX_BATCH)  # type: ignore[arg-type]


def memory_of(ledger: Ledger) -> list[Any]:
    """What is held apart from streams, which Python frees."""
    return [thing for thing in ledger.held if isinstance(thing, bytearray)]


def test_runner_records_a_graph_for_each_batch_size(
    gpu: CudaDevice, ledger: Ledger, library: FakeDriverLibrary, tiny_bundle: Bundle
) -> None:
    with gpu.current():
        runner = runner_of(gpu, tiny_bundle, FakePlan())
        assert len(memory_of(ledger)) == ALLOCATIONS
        assert library.calls.count("cuGraphInstantiateWithFlags") == MAX_BATCH
        launches = library.calls.count("cuGraphLaunch")
        score, heatmap = runner.run(np.zeros((2, 32, 32, 1), np.uint8))
        runner.close()
    assert (score.shape, heatmap.shape) == ((2,), (2, 8, 8))
    assert library.calls.count("cuGraphLaunch") == launches + 1
    assert library.calls.count("cuGraphExecDestroy") == MAX_BATCH
    assert memory_of(ledger) == []


@pytest.mark.parametrize("allocations", range(1, ALLOCATIONS + 1))
def test_runner_without_memory_frees_what_it_has(
    gpu: CudaDevice, ledger: Ledger, tiny_bundle: Bundle, allocations: int
) -> None:
    """The first allocation is its stream."""
    ledger.left = allocations
    with pytest.raises(EngineError, match="out of memory"), gpu.current():
        runner_of(gpu, tiny_bundle, FakePlan())
    assert memory_of(ledger) == []


def test_runner_whose_plan_rejects_a_batch_frees_what_it_has(
    gpu: CudaDevice, ledger: Ledger, library: FakeDriverLibrary, tiny_bundle: Bundle
) -> None:
    with pytest.raises(EngineError, match="the plan does not accept a batch of 3"), gpu.current():
        runner_of(gpu, tiny_bundle, FakePlan(accepts=2))
    assert memory_of(ledger) == []
    assert library.calls.count("cuGraphExecDestroy") == 2


def test_runner_frees_the_rest_if_a_graph_cannot_be_freed(
    gpu: CudaDevice, ledger: Ledger, library: FakeDriverLibrary, tiny_bundle: Bundle
) -> None:
    """After an error of the GPU every call fails; the host's memory must be freed nevertheless."""
    with gpu.current():
        runner = runner_of(gpu, tiny_bundle, FakePlan())
        library.codes["cuGraphExecDestroy"] = 700
        with pytest.raises(EngineError, match="cuGraphExecDestroy"):
            runner.close()
    assert memory_of(ledger) == []
    assert library.calls.count("cuGraphExecDestroy") == MAX_BATCH
