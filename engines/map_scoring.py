"""The default score: how far the two encoders' latents are apart, in units of how far they are on good frames.

At every place of the latent maps the distance between the first encoder's latent vector of the frame and the second's
of its reconstruction is √(1 + |difference|²) − 1. The heatmap is the mean of the two finest maps (strides 4 and 8),
which the coarser ones have told what they know, damped where good frames are restless (`unrest`). The score is √(hot²
+ whole²): hot is the hottest place of the heatmap; whole is the distance, 1 − cosine, between the description
of the whole frame and the nearest one of a good frame, which finds the part that is sound everywhere and yet the wrong
one; both encoders have learned these descriptions together, each from what the other sees. Both numbers are divided by
their median over good frames, the second then weighted with 0.4, so that a common good frame scores about 1.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundle import Normalisation
from engines.latent_maps import IDENTITY, Latents, MapGenerator
from engines.scoring import Scorer, gaussian_kernel, smooth

# Good frames that are remembered at most: 64 values each, 0.25 MB in the graph.
_REMEMBERED = 1024

# Weight of the whole frame beside the hottest place. On short trainings 0.3 to 0.5 kept MNIST's hardest digit at 0.90
# to 0.93 (alone 0.94) and cost DeepPCB and the simulator up to 0.02; 1 cost them 0.05 to 0.08.
_WHOLE_WEIGHT = 0.4

# Maps that make the heatmap, finest first. On DeepPCB, after a third of the usual training, the finest map alone gave
# pixel AUROC 0.90 and PRO 0.71, the mean of strides 8, 16 and 32 only 0.86 and 0.60: coarse maps smear.
_HEAT_LEVELS = 2


def map_distances(latents: Latents) -> list[Tensor]:
    """Distances of the latent maps, fine to coarse, each float32 [N, h, w], ≥ 0.

    |difference|² is divided by the square root of the number of channels, which keeps the distances of untrained
    networks near 1.
    """
    return [_distance(first.float(), again.float()) for first, again in zip(latents.first, latents.again, strict=True)]


def lengths(maps: list[Tensor]) -> list[Tensor]:
    """Distances of latent maps from the origin, where good frames lie: as `map_distances` with a perfect second map."""
    return [_distance(first.float()) for first in maps]


def _distance(first: Tensor, again: Tensor | float = 0.0) -> Tensor:
    squares = (first - again).square().sum(1) / first.shape[1] ** 0.5
    distance: Tensor = (1.0 + squares).sqrt() - 1.0
    return distance


class MapScorer(Scorer):
    """The exported module of the default recipe; `settle` it on good frames first."""

    networks: MapGenerator

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.register_buffer("remembered", torch.zeros(1, IDENTITY))
        self.register_buffer("unrest", torch.ones(1, 1))
        self.register_buffer("usual", torch.ones(2))
        self.remembered: Tensor
        self.unrest: Tensor
        self.usual: Tensor

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.networks(frames.to(self.dtype))
        heat = self._heat(latents)
        parts = torch.stack([heat.amax((1, 2)), self._whole(latents)], dim=1) / self.usual
        return parts.square().sum(1).sqrt(), heat

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Learn the spread of good frames from batches of normalised ones [N, C, H, W]."""
        heats, identities = [], []
        for frames in batches:
            latents = self.networks(frames.to(self.dtype))
            heats.append(self._raw_heat(latents))
            identities.append(latents.identity)
        everyone = torch.cat(identities)
        self.remembered = everyone[:: -(-len(everyone) // _REMEMBERED)].clone()
        self.unrest = unrest(torch.cat(heats))
        hottest = (torch.cat(heats) / self.unrest).amax((1, 2)).median()
        self.usual = torch.stack([hottest, _nearest_other(everyone).median() / _WHOLE_WEIGHT]).clamp(min=1e-6)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take over the sizes of what was settled."""
        for name in ("unrest", "remembered"):
            setattr(self, name, torch.zeros_like(state_dict.get(f"{prefix}{name}", getattr(self, name))))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _heat(self, latents: Latents) -> Tensor:
        return self._raw_heat(latents) / self.unrest

    def _raw_heat(self, latents: Latents) -> Tensor:
        finest = latents.first[0].shape[-2:]
        levels = [
            functional.interpolate(distance[:, None], size=finest, mode="bilinear", align_corners=False)
            for distance in map_distances(latents)[:_HEAT_LEVELS]
        ]
        return torch.stack(levels).mean(0)[:, 0]

    def _whole(self, latents: Latents) -> Tensor:
        return (1.0 - (latents.identity @ self.remembered.T).amax(1)).clamp(min=0.0)


def unrest(heats: Tensor) -> Tensor:
    """By how much each place [h, w] is damped, from heatmaps [N, h, w] of good frames: 1, or more where they are
    restless.

    A place's level is its mean plus two standard deviations, smoothed by one cell, since parts do not lie still; it is
    divided by the mean of all levels and never below 1, so that quiet places are not made loud. Where good parts lie
    alike this quietens an engraved code or an edge; where they do not, as on DeepPCB, it changes next to nothing.
    """
    spread = heats.std(0, correction=0)
    levels = smooth((heats.mean(0) + 2.0 * spread)[None, None], gaussian_kernel(radius=2, sigma=1.0))[0, 0]
    return (levels / levels.mean().clamp(min=1e-9)).clamp(min=1.0)


def _nearest_other(identities: Tensor) -> Tensor:
    """Distance of each identity [N, 64] from the nearest of the others, [N]; 0 where there is no other."""
    products = identities @ identities.T
    products.fill_diagonal_(1.0 if len(identities) == 1 else -1.0)
    return 1.0 - products.amax(1)
