"""The default score: how far the two encoders' latents are apart, in units of how far they are on good frames.

At every place of the latent maps the distance between the first encoder's latent vector of the frame and the second's
of its reconstruction is √(1 + |difference|²) − 1. The heatmap is the mean of the two finest maps (strides 4 and 8),
which the coarser ones have told what they know, damped where good frames are restless (`unrest`). The score is √(hot²
+ whole²): hot is the hottest place of the heatmap; whole is the Mahalanobis distance, from those of good frames, of
the first encoder's description of the whole frame together with its difference to the second's (as RaPP's NAP, Kim et
al. 2020, section 3.3, does with hidden activations), which finds the part that is sound everywhere and yet the wrong
one. Both are divided by their median over good frames, so that a common good frame scores about √2.
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

# Share of the mean variance that is added to every direction of the identities: directions in which good frames
# hardly differ are known worst.
_SHRINKAGE = 0.05

# Maps that make the heatmap, finest first. On DeepPCB, after a third of the usual training, the finest map alone gave
# pixel AUROC 0.90 and PRO 0.71, the mean of strides 8, 16 and 32 only 0.86 and 0.60: coarse maps smear.
_HEAT_LEVELS = 2


def map_distances(latents: Latents) -> list[Tensor]:
    """Distances of the latent maps, fine to coarse, each float32 [N, h, w], ≥ 0.

    |difference|² is divided by the square root of the number of channels, which keeps the distances of untrained
    networks near 1.
    """
    return [_distance(first.float(), again.float()) for first, again in zip(latents.first, latents.again, strict=True)]


def _distance(first: Tensor, again: Tensor) -> Tensor:
    squares = (first - again).square().sum(1) / first.shape[1] ** 0.5
    distance: Tensor = (1.0 + squares).sqrt() - 1.0
    return distance


class MapScorer(Scorer):
    """The exported module of the default recipe; `settle` it on good frames first."""

    networks: MapGenerator

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.register_buffer("identity_mean", torch.zeros(2 * IDENTITY))
        self.register_buffer("identity_whitening", torch.eye(2 * IDENTITY))
        self.register_buffer("unrest", torch.ones(1, 1))
        self.register_buffer("usual", torch.ones(2))
        self.identity_mean: Tensor
        self.identity_whitening: Tensor
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
        heats, pairs = [], []
        for frames in batches:
            latents = self.networks(frames.to(self.dtype))
            heats.append(self._raw_heat(latents))
            pairs.append(_pair(latents))
        self.identity_mean, self.identity_whitening = whitening(torch.cat(pairs))
        self.unrest = unrest(torch.cat(heats))
        hottest = (torch.cat(heats) / self.unrest).amax((1, 2))
        parts = torch.stack([hottest, self._mahalanobis(torch.cat(pairs))], dim=1)
        self.usual = parts.median(0).values.clamp(min=1e-6)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take over the size of the map of unrest, which only settling tells."""
        self.unrest = torch.ones_like(state_dict.get(f"{prefix}unrest", self.unrest))
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
        return self._mahalanobis(_pair(latents))

    def _mahalanobis(self, pairs: Tensor) -> Tensor:
        return ((pairs - self.identity_mean) @ self.identity_whitening).square().sum(1).sqrt()


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


def _pair(latents: Latents) -> Tensor:
    """What the encoders say of the whole frame, [N, 128]: its identity, and how that of the reconstruction differs."""
    return torch.cat([latents.identity, latents.identity_again - latents.identity], dim=1)


def whitening(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and matrix [D, D] giving (v − mean) @ matrix unit covariance over `vectors` [N, D], shrunk a little."""
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    covariance = centred.T @ centred / max(1, len(vectors) - 1)
    floor = _SHRINKAGE * covariance.diagonal().mean() + 1e-12
    covariance += floor * torch.eye(len(covariance), dtype=covariance.dtype)
    matrix = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return mean, matrix.float()
