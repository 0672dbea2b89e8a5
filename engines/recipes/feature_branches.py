"""The branches of the score on pretrained features: what they are made from, their units, and their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

BRANCHES = ("local", "identity", "whole")
EARLIER_BRANCHES = ("peak", "identity", "local", "whole")
"""Those of bundles from before the maps were joined place by place."""

# Weights of the branches; decisions 0125 and 0126 have others.
_WEIGHTS = (1.0, 0.25, 1.0)

# Up to this side, pixels, the memories see but eight places a side: a flaw drowns in the mean over all of them. Flaws
# drawn into crops of fish, before the maps were joined: 0.796 with 2 for `local`, 0.788 with 1.
_SMALL_SIDE, _SMALL_WEIGHTS = 64, (2.0, 0.5, 0.5)
# Up to this one, a frame is about as large as what it shows, and its identity matters most. Digit 9, with 3, 2 and 1
# for `local`: AUROC 0.962, 0.967 and 0.972.
_TINY_SIDE, _TINY_WEIGHTS = 32, (2.0, 3.0, 0.5)

# Those of bundles that do not contain theirs, by the number of branches, in frames up to `_SMALL_SIDE` and in others.
_EARLIER_SMALL_WEIGHTS = {3: (2.0, 3.0, 0.5), 4: (1.0, 3.0, 2.0, 0.5)}
_EARLIER_WEIGHTS = {3: (1.0, 1.0, 1.0), 4: (0.5, 1.0, 1.0, 1.0)}

# Fewest places that are averaged.
_LEAST_PLACES = 3

# Least mean excess, as a share of the median: held-out frames that are all but the same say nothing about a tail.
_LEAST_EXCESS = 0.02


class Evidence(NamedTuple):
    """What a frame is judged by."""

    branches: Tensor
    """Values of the branches, [N, 3]."""
    heatmap: Tensor
    """Of latent and Mahalanobis distance, [N, 1, H/4, W/4]."""
    unfamiliar: Tensor
    """How unfamiliar each place is, [N, 1, H/16, W/16]; 1 is usual."""
    fine: Tensor
    """Mean distance to the memories at stride 8, [N, 1, H/8, W/8]; 1 is usual."""
    content: Tensor | None
    """Which pixels are no padding, [N, 1, H, W]; None: all of them."""


class Deep(NamedTuple):
    """What needs no networks but the backbone, of a batch of frames."""

    distances: list[Tensor]
    """To each memory, [N, 1, H/8, W/8] or [N, 1, H/16, W/16]; 0 on padding."""
    odds: Tensor
    """Of the discriminators, [N, 4, H/16, W/16]."""
    content: Tensor | None
    """Which pixels are no padding, [N, 1, H, W]; None: all of them."""


class Seen(NamedTuple):
    """What the networks and the memories make of a batch of frames; the backbone takes most of the time."""

    squares: tuple[Tensor, Tensor]
    """Squared latent distance and squared Mahalanobis distance, each [N, 1, H/4, W/4]."""
    identity: Tensor
    """Identity embeddings, [N, 64]."""
    deep: Deep


def tail_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Medians of good values [K, C], and their mean excess above the median, each [C].

    >>> tail_of(torch.tensor([[1.0], [2.0], [4.0], [0.0], [9.0]]))
    (tensor([2.]), tensor([4.5000]))
    """
    medians = values.median(0).values
    excess = (values - medians).clamp(min=0.0)
    mean_excess = excess.sum(0) / (excess > 0).sum(0).clamp(min=1)
    return medians, torch.maximum(mean_excess, _LEAST_EXCESS * medians).clamp(min=1e-6)


def weights_for(longest_side: int) -> Tensor:
    """Weights of `BRANCHES` for frames of this longest side, pixels: [3], 1 in sum."""
    if longest_side <= _TINY_SIDE:
        return _shares(_TINY_WEIGHTS)
    return _shares(_SMALL_WEIGHTS if longest_side <= _SMALL_SIDE else _WEIGHTS)


def earlier_weights(branches: int, longest_side: int) -> Tensor:
    """Weights that bundles without theirs were made with; three branches are `BRANCHES`, four `EARLIER_BRANCHES`."""
    return _shares((_EARLIER_SMALL_WEIGHTS if longest_side <= _SMALL_SIDE else _EARLIER_WEIGHTS)[branches])


def weighted(units: Tensor, weights: Tensor) -> Tensor:
    """What each branch adds to the score: [N, B], of values [N, B] in units of their tails, which may be negative."""
    return 0.5 * (units + (units * units + 4.0).sqrt()) * weights


def _shares(weights: tuple[float, ...]) -> Tensor:
    given = torch.tensor(weights)
    return given / given.sum()


def averaged(distances: Sequence[Tensor], usual: Tensor) -> tuple[Tensor, Tensor]:
    """Mean distances to all memories and to those at stride 16, [N, 1, H/16, W/16]; 1 is usual.

    Of the finer maps, the hottest of 2×2 places counts.

    Args:
        distances: to each memory, [N, 1, H/8, W/8] or [N, 1, H/16, W/16]; the last is at stride 16.
        usual: mean distances to them on good frames.
    """
    width = distances[-1].shape[-1]
    levels = [maps / level for maps, level in zip(distances, usual, strict=True)]
    deep = [maps for maps in levels if maps.shape[-1] == width]
    fine = [functional.max_pool2d(maps, 2) for maps in levels if maps.shape[-1] != width]
    return torch.stack([*deep, *fine]).mean(0), torch.stack(deep).mean(0)


def at_places_of(coarse: Tensor, maps: Tensor) -> Tensor:
    """The highest values of maps [N, 1, H, W] at each place of coarser ones [N, 1, h, w]: [N, 1, h, w]."""
    return functional.max_pool2d(maps, maps.shape[-1] // coarse.shape[-1])


def hottest(maps: Tensor, part: int) -> Tensor:
    """Mean of the hottest places of maps [N, 1, h, w], one in `part` but no fewer than three: [N]."""
    places = maps.flatten(1)
    count = min(max(places.shape[1] // part, _LEAST_PLACES), places.shape[1])
    return places.topk(count, dim=1).values.mean(1)
