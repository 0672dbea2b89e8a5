"""PyTorch computes on one thread in these tests: results must not depend on the number of cores."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture(autouse=True, scope="module")
def one_torch_thread() -> None:
    """PyTorch's number of threads holds for the whole process, and other tests change it."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
