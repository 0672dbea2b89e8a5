"""The default score: how far the two encoders' latents are apart, in units of how far they are on good frames.

At every place of three latent maps the distance between the first encoder's latent vector of the frame and the
second's of its reconstruction is √(1 + |difference|²) − 1; the three maps, enlarged to the finest (stride 8) and
averaged, are the heatmap. The score is the sum of three numbers, each divided by its standard deviation over good
frames: the hottest place of the heatmap (a scratch, a void), the mean of the heatmap (something faint all over), and
the Mahalanobis distance, from those of good frames, of the difference between the two encoders' descriptions of the
whole frame (a wrong part; RaPP's NAP, Kim et al. 2020, section 3.3).
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

# Statistics of a frame that the score adds up.
_STATISTICS = 3


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
        self.register_buffer("weights", torch.ones(_STATISTICS))
        self.identity_mean: Tensor
        self.identity_whitening: Tensor
        self.weights: Tensor

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.networks(frames.to(self.dtype))
        heat = self._heat(latents)
        statistics = torch.stack([*_places(heat), self._whole(latents)], dim=1)
        return (statistics * self.weights).sum(1), heat

    @torch.no_grad()
    def settle(self, batches: Iterable[Tensor]) -> None:
        """Learn the spread of good frames from batches of normalised ones [N, C, H, W]."""
        places, differences = [], []
        for frames in batches:
            latents = self.networks(frames.to(self.dtype))
            places.append(torch.stack(_places(self._heat(latents)), dim=1))
            differences.append(latents.identity - latents.identity_again)
        self.identity_mean, self.identity_whitening = whitening(torch.cat(differences))
        whole = self._mahalanobis(torch.cat(differences))[:, None]
        statistics = torch.cat([torch.cat(places), whole], dim=1)
        self.weights = 1.0 / statistics.std(0).clamp(min=1e-6)

    def _heat(self, latents: Latents) -> Tensor:
        finest = latents.first[0].shape[-2:]
        levels = [
            functional.interpolate(distance[:, None], size=finest, mode="bilinear", align_corners=False)
            for distance in map_distances(latents)
        ]
        return torch.stack(levels).mean(0)[:, 0]

    def _whole(self, latents: Latents) -> Tensor:
        return self._mahalanobis(latents.identity - latents.identity_again)

    def _mahalanobis(self, differences: Tensor) -> Tensor:
        return ((differences - self.identity_mean) @ self.identity_whitening).square().sum(1).sqrt()


def _places(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Hottest place and mean of heatmaps [N, h, w]."""
    return heat.amax((1, 2)), heat.mean((1, 2))


def whitening(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [D] and matrix [D, D] that give (v − mean) @ matrix unit covariance over `vectors` [N, D], shrunk a little."""
    mean = vectors.mean(0)
    centred = (vectors - mean).double()
    covariance = centred.T @ centred / max(1, len(vectors) - 1)
    floor = _SHRINKAGE * covariance.diagonal().mean() + 1e-12
    covariance += floor * torch.eye(len(covariance), dtype=covariance.dtype)
    matrix = torch.linalg.inv(torch.linalg.cholesky(covariance)).T
    return mean, matrix.float()
