"""Where a training runs: processors, several of them, or several machines, by Lightning Fabric."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from engines.errors import TrainingError

_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps")


@dataclass(frozen=True, slots=True)
class Devices:
    """Arguments of Lightning Fabric. With several devices, each process runs the calling script once."""

    accelerator: str = "auto"
    count: int = 1
    """Devices of each machine."""
    nodes: int = 1
    """Machines."""
    precision: str = "32-true"

    def launch(self) -> Any:
        """A running Fabric. Raises TrainingError for devices that cannot be used."""
        from lightning_fabric import Fabric
        from lightning_fabric.strategies.ddp import DDPStrategy

        if self.accelerator not in _ACCELERATORS:
            raise TrainingError(f"accelerator is {self.accelerator!r}, wanted one of {', '.join(_ACCELERATORS)}")
        if self.count < 1 or self.nodes < 1:
            raise TrainingError(f"devices is {self.count} and num_nodes {self.nodes}, wanted at least 1 of each")
        # Each process keeps its own buffers: the discriminator runs twice before one backward pass, and DDP would copy
        # the batch-normalisation statistics in between, which changes tensors that the backward pass still needs.
        strategy: Any = DDPStrategy(broadcast_buffers=False) if self.count * self.nodes > 1 else "auto"
        precision: Any = self.precision
        try:
            fabric = Fabric(
                accelerator=self.accelerator,
                devices=self.count,
                num_nodes=self.nodes,
                precision=precision,
                strategy=strategy,
            )
            fabric.launch()
        except (ValueError, RuntimeError, TypeError) as error:
            raise TrainingError(f"these devices cannot be used: {' '.join(str(error).split())}") from None
        return fabric


@contextmanager
def reproducible(fabric: Any, seed: int) -> Iterator[None]:
    """Seed everything; on an accelerator also select deterministic algorithms."""
    fabric.seed_everything(seed, verbose=False)
    before = torch.are_deterministic_algorithms_enabled()
    if fabric.device.type != "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
