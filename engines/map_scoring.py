"""The default score: how far the two encoders' latents are apart, in units of how far they are on good frames.

At every place of the latent maps the distance between the first encoder's latent vector of the frame and the second's
of its reconstruction is √(1 + |difference|²) − 1. The heatmap is the mean of the two finest maps (strides 4 and 8),
which the coarser ones have told what they know. The score is √(hot² + whole²): hot is the hottest place of the
heatmap; whole is the Mahalanobis distance, from those of good frames, of the difference between the two encoders'
descriptions of the whole frame (RaPP's NAP, Kim et al. 2020, section 3.3), which finds the part that is sound
everywhere and yet the wrong one. Both are divided by their median over good frames, so that a common good frame
scores about √2.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundle import Normalisation
from engines.latent_maps import IDENTITY, Latents, MapGenerator
from engines.scoring import Scorer

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
        self.register_buffer("identity_mean", torch.zeros(IDENTITY))
        self.register_buffer("identity_whitening", torch.eye(IDENTITY))
        self.register_buffer("usual", torch.ones(2))
        self.identity_mean: Tensor
        self.identity_whitening: Tensor
        self.usual: Tensor

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.networks(frames.to(self.dtype))
        heat = self._heat(latents)
        parts = torch.stack([heat.amax((1, 2)), self._whole(latents)], dim=1) / self.usual
        return parts.square().sum(1).sqrt(), heat

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Learn the spread of good frames from batches of normalised ones [N, C, H, W]."""
        hottest, differences = [], []
        for frames in batches:
            latents = self.networks(frames.to(self.dtype))
            hottest.append(self._heat(latents).amax((1, 2)))
            differences.append(latents.identity - latents.identity_again)
        self.identity_mean, self.identity_whitening = whitening(torch.cat(differences))
        parts = torch.stack([torch.cat(hottest), self._mahalanobis(torch.cat(differences))], dim=1)
        self.usual = parts.median(0).values.clamp(min=1e-6)

    def _heat(self, latents: Latents) -> Tensor:
        finest = latents.first[0].shape[-2:]
        levels = [
            functional.interpolate(distance[:, None], size=finest, mode="bilinear", align_corners=False)
            for distance in map_distances(latents)[:_HEAT_LEVELS]
        ]
        return torch.stack(levels).mean(0)[:, 0]

    def _whole(self, latents: Latents) -> Tensor:
        return self._mahalanobis(latents.identity - latents.identity_again)

    def _mahalanobis(self, differences: Tensor) -> Tensor:
        return ((differences - self.identity_mean) @ self.identity_whitening).square().sum(1).sqrt()


def whitening(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and matrix [D, D] giving (v − mean) @ matrix unit covariance over `vectors` [N, D], shrunk a little."""
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    covariance = centred.T @ centred / max(1, len(vectors) - 1)
    floor = _SHRINKAGE * covariance.diagonal().mean() + 1e-12
    covariance += floor * torch.eye(len(covariance), dtype=covariance.dtype)
    matrix = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return mean, matrix.float()
