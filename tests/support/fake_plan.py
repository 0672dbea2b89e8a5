"""A stand-in for a TensorRT plan, whose library no machine without a GPU has."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

# The part of the module `tensorrt` that runs a plan.
FAKE_TENSORRT = SimpleNamespace(ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="user managed"))

Network = Callable[[int, dict[str, int], int], None]
"""Queues the work of a network: stream handle, addresses of the tensors by name, frames."""


class FakePlan:
    """`ICudaEngine`: makes execution contexts, `accepts` batches up to a size, and runs `network` in them."""

    device_memory_size_v2 = 4096

    def __init__(self, network: Network = lambda stream, addresses, count: None, accepts: int = 100) -> None:
        self.network, self.accepts = network, accepts

    def create_execution_context(self, strategy: object) -> Any:
        assert strategy == "user managed"
        return FakeContext(self)


class FakeContext:
    """`IExecutionContext`."""

    def __init__(self, plan: FakePlan) -> None:
        self._plan = plan
        self._addresses: dict[str, int] = {}
        self._count = 0

    def set_device_memory(self, memory: int, size: int) -> None:
        assert memory != 0
        assert size == FakePlan.device_memory_size_v2

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "frames"
        self._count = shape[0]
        return self._count <= self._plan.accepts

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert set(self._addresses) == {"frames", "score", "heatmap"}
        self._plan.network(stream_handle, self._addresses, self._count)
        return True
