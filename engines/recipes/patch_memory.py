"""Memory of good patches: how far each place's features are from the nearest of the good frames'.

Patches of good frames are remembered, wherever they lay; a patch that resembles none of them is unfamiliar (PatchCore,
Roth et al. 2022, section 3). Of all patches, those are kept that cover the others best: greedily, the next is the one
farthest from those already chosen (section 3.2, after Sener and Savarese 2018). PatchCore compares them in a random
projection; which one was drawn moved the AUROC by up to 0.01, so distances are those of all features here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.recipes.content import places

# Patches in the memory. Chosen greedily, 500 found as much as 8,000 random ones on solar cells, baggage and fish bones.
_PATCHES = 1000

CANDIDATES = 40_000
"""Patches that they are chosen from; 20,000 and 60,000 found as much, within 0.01 (benchmarks/detection)."""

# Added to squared distances: the rounding error of a difference of two large squares would show in the root of a small
# one. Good patches are at a distance of about 0.9 (fish bones, baggage).
_FLOOR = 1e-3


class PatchMemory(nn.Module):
    """Feature maps [N, C, h, w] → distances to the nearest remembered patch, float32 [N, 1, h, w], ≥ 0.

    Buffers are the keys of `weights.npz` and the initialisers of the ONNX graph.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("patches", torch.zeros(1, channels, dtype=torch.float16))
        self.centre: Tensor
        """Mean of good patches."""
        self.scale: Tensor
        """One divided by their standard deviation, and by √C."""
        self.patches: Tensor
        """Remembered patches [M, C], standardised."""

    def forward(self, maps: Tensor) -> Tensor:
        standardised = (maps.float() - self.centre) * self.scale
        patches = self.patches.float()
        # |a − b|² = |a|² − 2ab + |b|²: a convolution with the memory as its weights.
        lengths = (standardised * standardised).sum(1, keepdim=True)
        products = functional.conv2d(standardised, -2.0 * patches[:, :, None, None], (patches * patches).sum(1))
        return ((lengths + products.amin(1, keepdim=True)).clamp(min=0.0) + _FLOOR).sqrt()

    @torch.no_grad()
    def fit(self, candidates: Tensor) -> None:
        """Remember patches of good frames, chosen from candidates, float32 [K, C]."""
        spread, mean = torch.std_mean(candidates, 0)
        self.centre = mean[None, :, None, None]
        self.scale = (1.0 / (spread.clamp(min=1e-6) * candidates.shape[1] ** 0.5))[None, :, None, None]
        standardised = (candidates - mean) * self.scale.flatten()
        self.patches = standardised[cover(standardised, _PATCHES)].half()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Resize the memory to that of the fitted module before it is loaded."""
        self.patches = torch.zeros_like(state_dict.get(f"{prefix}patches", self.patches))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def random_patches(
    maps: Tensor,
    frames: int,
    generator: torch.Generator,
    content: Tensor | None = None,
    candidates: int = CANDIDATES,
) -> Tensor:
    """Draw patches from maps [n, C, h, w] of a batch, as many of all as belong to it of `frames`: float32 [K, C].

    Places that show padding are not drawn; `content` [n, 1, H, W] is 1 elsewhere.
    """
    count = min(maps.shape[2] * maps.shape[3], -(-candidates // frames))
    rows = maps.float().flatten(2).transpose(1, 2)
    chance = torch.rand(rows.shape[:2], generator=generator)
    if content is not None:
        chance = chance * places(content, maps).flatten(1)
    drawn = chance.topk(count)
    patches = rows.gather(1, drawn.indices[:, :, None].expand(-1, -1, rows.shape[2])).flatten(0, 1)
    return patches if content is None else patches[drawn.values.flatten() > 0]


def cover(patches: Tensor, count: int) -> Tensor:
    """Indices of `count` patches [K, C] that cover the others: each is the farthest from those before.

    The first is the one nearest to the origin.
    """
    squares = (patches * patches).sum(1)
    distances = torch.full_like(squares, float("inf"))
    chosen = torch.zeros(min(count, len(patches)), dtype=torch.long)
    chosen[0] = squares.argmin()
    for position in range(1, len(chosen)):
        last = chosen[position - 1]
        distances = torch.minimum(distances, squares + squares[last] - 2.0 * (patches @ patches[last]))
        chosen[position] = distances.argmax()
    return chosen
