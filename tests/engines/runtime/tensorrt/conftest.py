"""A GPU that only keeps accounts, for tests of what is allocated and freed."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from engines.runtime.tensorrt import cuda_graph
from engines.runtime.tensorrt.cuda import CudaDevice
from tests.support.fake_cuda import FakeDriverLibrary, Ledger, fake_pycuda


@pytest.fixture
def ledger() -> Ledger:
    """The accounts of `gpu`."""
    return Ledger()


@pytest.fixture
def gpu(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    """A device on the stand-in for PyCUDA."""
    package = ModuleType("pycuda")
    package.driver = fake_pycuda(ledger)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", package.driver)
    return CudaDevice()


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeDriverLibrary:
    """The stand-in for libcuda, where CUDA graphs look for it."""
    made = FakeDriverLibrary()
    monkeypatch.setattr(cuda_graph, "_driver_library", lambda: made)
    return made
