"""From networks to the graph that is exported: integer frames in, `score` and `heatmap` out, everything between inside.

Normalisation: 8-bit frames by their full range, as the paper does (0 … 255 → -1 … 1); 16-bit frames by the 0.1 and 99.9
percentiles of the training frames, since a detector seldom uses more than a fraction of its 65,536 levels.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Frames, Normalisation

if TYPE_CHECKING:
    from engines.networks.ganomaly import Generator

# Beyond this a sample says "far outside" and no more. It keeps the half-precision graph finite whatever a camera sends.
_FAR_OUTSIDE = 16.0

# Values that a percentile is taken of: enough for the 0.1 % quantile to be exact to a grey level, and quick.
_PERCENTILE_SAMPLES = 4_000_000


def normalisation_of(frames: Frames) -> Normalisation:
    """Find the range of training frames [N, H, W, C]: fixed for 8 bits, learned for 16.

    >>> normalisation_of(np.zeros((2, 4, 4, 1), np.uint8))
    Normalisation(low=0.0, high=255.0)
    >>> normalisation_of(np.arange(1001, dtype=np.uint16).reshape(1, 1001, 1, 1))
    Normalisation(low=1.0, high=999.0)
    """
    if frames.dtype == np.uint8:
        return Normalisation(low=0.0, high=255.0)
    values = frames.reshape(-1)
    values = values[:: max(1, len(values) // _PERCENTILE_SAMPLES)]
    low, high = (float(round(value)) for value in np.percentile(values, (0.1, 99.9)))
    return Normalisation(low=low, high=max(high, low + 1.0))


class Normalise(nn.Module):
    """uint8 or uint16 [N, H, W, C] → float32 [N, C, H, W], `low` … `high` to -1 … 1 and beyond."""

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        self.low = normalisation.low
        self.scale = 2.0 / (normalisation.high - normalisation.low)

    def forward(self, frames: Tensor) -> Tensor:
        values = (frames.permute(0, 3, 1, 2).to(torch.float32) - self.low) * self.scale - 1.0
        darkest, brightest = ((level - self.low) * self.scale - 1.0 for level in (0, torch.iinfo(frames.dtype).max))
        # Frames of 8 bits never get there, and every step of the graph takes its time.
        if max(-darkest, brightest) <= _FAR_OUTSIDE:
            return values
        return values.clamp(-_FAR_OUTSIDE, _FAR_OUTSIDE)


class Scorer(nn.Module):
    """The exported module. A recipe fills in `distances`; its networks are float32, or float16 for the FP16 graph."""

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.networks = networks

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 or uint16 [N, H, W, C] → (score [N], heatmap [N, h, w]), float32, ≥ 0."""
        return self.distances(self.normalise(frames))

    @abstractmethod
    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised float32 [N, C, H, W] → (score [N], heatmap [N, h, w]), float32, ≥ 0."""

    def reconstruction(self, frames: Tensor) -> Tensor | None:
        """What the networks make of normalised frames [N, C, H, W], for people to see; None where they draw nothing."""
        return None

    @property
    def dtype(self) -> torch.dtype:
        """Type that the networks compute in."""
        return next(self.networks.parameters()).dtype


class ReferenceScorer(Scorer):
    """The paper's score (section 3.3), and where it comes from.

    Score: mean squared difference of the two latent vectors, as the authors' code has it. The paper's equation 6
    writes the L1 distance and its text and code L2; the code's test is followed. Heatmap: |x − G(x)|, mean over the
    channels, smoothed by a fixed Gaussian and averaged down by 4 (the paper has none).
    """

    networks: Generator
    heatmap_step = 4

    def __init__(self, networks: Generator, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.register_buffer("kernel", gaussian_kernel(radius=4, sigma=2.0), persistent=False)
        self.kernel: Tensor

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        reconstruction, latent, latent_again = self.networks(frames.to(self.dtype))
        score = (latent.float() - latent_again.float()).square().flatten(1).mean(1)
        difference = (frames - reconstruction.float()).abs().mean(1, keepdim=True)
        heat = functional.avg_pool2d(smooth(difference, self.kernel), self.heatmap_step)
        return score, heat.squeeze(1)

    def reconstruction(self, frames: Tensor) -> Tensor:
        result: Tensor = self.networks(frames.to(self.dtype))[0]
        return result


def gaussian_kernel(radius: int, sigma: float) -> Tensor:
    """One-dimensional Gaussian of 2·radius+1 taps that sum to 1; `sigma` in pixels."""
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float32) / sigma) ** 2)
    return taps / taps.sum()


def smooth(maps: Tensor, kernel: Tensor) -> Tensor:
    """Blur maps [N, 1, H, W] along both axes, edges replicated; the kernel is one-dimensional and odd."""
    radius = kernel.numel() // 2
    padded = functional.pad(maps, (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1))
