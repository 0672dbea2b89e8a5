"""The training loop of the baselines: shuffled batches until time or steps are used up."""

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

# Frames that the final batch-normalisation statistics are computed from; means over 256 are accurate to 6 % of a
# standard deviation.
_STATISTICS_FRAMES = 256


def device() -> torch.device:
    """Return the device of the baselines: the GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def run_steps(
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
    """Call `step` with shuffled batches [B, C, H, W] on `device()` until a limit is reached.

    Returns the number of steps done.
    """
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


def statistics_batches(frames: Frames, normalisation: Normalisation, size: int) -> Iterator[Tensor]:
    """Yield the first training frames, [B, C, H, W] on `device()`: enough for batch-normalisation statistics."""
    for batch in in_batches(NormalisedFrames(frames[:_STATISTICS_FRAMES], normalisation), size):
        if len(batch) > 1:
            yield batch.to(device())


def freeze(*networks: nn.Module) -> None:
    """Put networks into eval mode, without gradients."""
    for network in networks:
        network.eval().requires_grad_(False)


def _shuffled(count: int, batch: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of indices without end, each epoch in a new order; an incomplete last batch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    size = min(batch, count)
    while True:
        order = torch.randperm(count, generator=generator).tolist()
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
