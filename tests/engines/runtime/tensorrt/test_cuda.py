"""The context of the GPU: bound, released, and its errors. `tests/gpu` has the rest, on a driver that computes."""

from __future__ import annotations

import numpy as np
import pytest

from engines.errors import EngineError
from engines.runtime.tensorrt.cuda import Buffer, CudaDevice
from tests.support.fake_cuda import DriverError, Ledger


def test_device_is_described(gpu: CudaDevice) -> None:
    assert (gpu.name, gpu.compute_capability, gpu.total_bytes, gpu.shares_memory) == ("stand-in", "8.7", 2**32, False)


@pytest.mark.parametrize("failing", ["push", "pop"])
def test_context_that_cannot_be_bound_or_released_is_one_line(gpu: CudaDevice, ledger: Ledger, failing: str) -> None:
    ledger.failing = {failing}
    message = f"the GPU reports cuCtx{failing.title()}Current failed"
    with pytest.raises(EngineError, match=message), gpu.current():
        pass


def test_error_of_the_driver_is_one_line_and_the_context_is_released(gpu: CudaDevice, ledger: Ledger) -> None:
    with pytest.raises(EngineError, match="the GPU reports out of memory"), gpu.current():
        raise DriverError("out of memory")
    assert ledger.depth == 0


def test_first_error_is_reported_if_the_context_cannot_be_released_either(gpu: CudaDevice, ledger: Ledger) -> None:
    ledger.failing = {"pop"}
    with pytest.raises(EngineError, match="the GPU reports out of memory"), gpu.current():
        raise DriverError("out of memory")
    with pytest.raises(EngineError, match="no such kernel"), gpu.current():
        raise EngineError("no such kernel")


def test_buffer_without_device_memory_frees_its_host_memory(gpu: CudaDevice, ledger: Ledger) -> None:
    ledger.left = 1
    with pytest.raises(EngineError, match="out of memory"), gpu.current():
        Buffer(gpu, (2, 3), np.uint8)
    assert ledger.held == []
