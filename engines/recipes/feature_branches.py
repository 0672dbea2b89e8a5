"""The branches of the score on pretrained features: their units, and their weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BRANCHES = ("local", "identity", "whole")
EARLIER_BRANCHES = ("peak", "identity", "local", "whole")
"""Those of bundles from before the maps were joined place by place."""

# Weights of the branches.
_WEIGHTS, _EARLIER_WEIGHTS = (1.0, 1.0, 1.0), (0.5, 1.0, 1.0, 1.0)

# Up to this side, pixels, identities are learned in every step (`engines.recipes.map_learner`), and the memories see
# but eight places a side: a flaw drowns in the mean over all of them. Digit 9, with 3, 2 and 1 for `local`: AUROC
# 0.962, 0.967 and 0.972. Flaws drawn into crops of fish, before the maps were joined: 0.796 with 2, 0.788 with 1.
_SMALL_SIDE, _SMALL_WEIGHTS, _EARLIER_SMALL_WEIGHTS = 64, (2.0, 3.0, 0.5), (1.0, 3.0, 2.0, 0.5)

# Fewest places that are averaged.
_LEAST_PLACES = 3

# Least mean excess, as a share of the median: held-out frames that are all but the same say nothing about a tail.
_LEAST_EXCESS = 0.02


def tail_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Medians of good values [K, C], and their mean excess above the median, each [C].

    >>> tail_of(torch.tensor([[1.0], [2.0], [4.0], [0.0], [9.0]]))
    (tensor([2.]), tensor([4.5000]))
    """
    medians = values.median(0).values
    excess = (values - medians).clamp(min=0.0)
    mean_excess = excess.sum(0) / (excess > 0).sum(0).clamp(min=1)
    return medians, torch.maximum(mean_excess, _LEAST_EXCESS * medians).clamp(min=1e-6)


def weighted(units: Tensor, longest_side: int) -> Tensor:
    """What each branch adds to the score: [N, B], of values [N, B] in units of their tails, which may be negative.

    Three branches are `BRANCHES`, four are `EARLIER_BRANCHES`.
    """
    positive = 0.5 * (units + (units * units + 4.0).sqrt())
    small = longest_side <= _SMALL_SIDE
    earlier = units.shape[1] == len(EARLIER_BRANCHES)
    ours, theirs = (_SMALL_WEIGHTS, _EARLIER_SMALL_WEIGHTS) if small else (_WEIGHTS, _EARLIER_WEIGHTS)
    weights = torch.tensor(theirs if earlier else ours, dtype=positive.dtype)
    return positive * (weights / weights.sum())


def at_places_of(coarse: Tensor, maps: Tensor) -> Tensor:
    """The highest values of maps [N, 1, H, W] at each place of coarser ones [N, 1, h, w]: [N, 1, h, w]."""
    return functional.max_pool2d(maps, maps.shape[-1] // coarse.shape[-1])


def hottest(maps: Tensor, part: int) -> Tensor:
    """Mean of the hottest places of maps [N, 1, h, w], one in `part` but no fewer than three: [N]."""
    places = maps.flatten(1)
    count = min(max(places.shape[1] // part, _LEAST_PLACES), places.shape[1])
    return places.topk(count, dim=1).values.mean(1)
