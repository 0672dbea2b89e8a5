"""The steps that the networks of all baselines learn by: shuffled batches until time or steps are used up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from engines.baselines.baseline import Limits
from engines.bundles import Frames, Normalisation
from engines.progress import Progress
from engines.training.good_frames import NormalisedFrames, in_batches
from engines.training.time_budget import TimeBudget

# Frames that batch normalisation takes its final statistics from; means over 256 are good to 6 % of a deviation.
_STATISTICS_FRAMES = 256


def device() -> torch.device:
    """Where the baselines compute: the GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def learn(
    frames: Frames,
    normalisation: Normalisation,
    step: Callable[[Tensor], None],
    *,
    batch: int,
    seed: int,
    limits: Limits,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Call `step` with shuffled batches [B, C, H, W] on `device()` until the limits are reached; returns the steps."""
    data = NormalisedFrames(frames, normalisation)
    seconds = None if limits.minutes is None else limits.minutes * 60
    budget = TimeBudget(clock, steps=limits.steps, seconds=seconds)
    for indices in _shuffled(len(data), batch, seed):
        if budget.used_up:
            break
        step(data.__getitems__(indices).to(device()))
        budget.advance()
        progress(budget.share_done, f"step {budget.step}")
    return budget.step


def some_batches(frames: Frames, normalisation: Normalisation, size: int) -> Iterator[Tensor]:
    """Yield training frames in order, [B, C, H, W] on `device()`: enough for batch normalisation's statistics."""
    for batch in in_batches(NormalisedFrames(frames[:_STATISTICS_FRAMES], normalisation), size):
        if len(batch) > 1:
            yield batch.to(device())


def ready(*networks: nn.Module) -> None:
    """Put networks into inference: nothing in them changes from here on."""
    for network in networks:
        network.eval().requires_grad_(False)


def _shuffled(count: int, batch: int, seed: int) -> Iterator[list[int]]:
    """Yield indices without end, each epoch in a new order; what is left of an epoch and fills no batch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    size = min(batch, count)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
