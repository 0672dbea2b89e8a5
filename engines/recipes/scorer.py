"""The scoring module that is exported: integer frames in, `score` and `heatmap` out, with normalisation inside.

Normalisation maps 8-bit frames from their full range, as the paper does (0 … 255 → -1 … 1), and 16-bit frames from the
0.1 and 99.9 percentiles of the training frames, since a detector seldom uses more than a fraction of its 65,536 levels.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Frames, Normalisation
from engines.recipes.content import FrameMask, PlaceFactors, counted, find_content

if TYPE_CHECKING:
    from engines.networks.ganomaly import Generator

# Normalised values are clipped to ± this, so that the half-precision graph stays finite whatever a camera sends.
_CLIP = 16.0

# Values that a percentile is computed from: enough for the 0.1 % quantile to be exact to a grey level, and fast.
_PERCENTILE_SAMPLES = 4_000_000


def normalisation_of(frames: Frames) -> Normalisation:
    """Find the grey-value range of training frames [N, H, W, C]: fixed for 8 bits, from percentiles for 16.

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
    """uint8 or uint16 [N, H, W, C] → float32 [N, C, H, W]: `low` … `high` becomes -1 … 1, values outside go beyond."""

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        self.low = normalisation.low
        self.scale = 2.0 / (normalisation.high - normalisation.low)

    def forward(self, frames: Tensor) -> Tensor:
        values = (frames.permute(0, 3, 1, 2).to(torch.float32) - self.low) * self.scale - 1.0
        darkest, brightest = ((level - self.low) * self.scale - 1.0 for level in (0, torch.iinfo(frames.dtype).max))
        # 8-bit frames cannot exceed the limit, and every node of the graph takes time.
        if max(-darkest, brightest) <= _CLIP:
            return values
        return values.clamp(-_CLIP, _CLIP)


class Scorer(nn.Module):
    """The exported module. A recipe implements `distances`; networks are float32, or float16 for the FP16 graph."""

    remembers_frames: ClassVar[bool] = False
    """True where frames that the scorer was fitted to score lower than new ones."""

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.networks = networks
        self.padding: int | None = None
        """Gray value of the padding in frames, which counts neither in scores nor in heatmaps; None: there is none."""
        self.mask = FrameMask()
        """What else does not count; `use` of it takes a mask, before the score is fitted."""
        self.factors = PlaceFactors()
        """How much places count; `use` of it takes a sensitivity, after the score is fitted."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames, uint8 or uint16 [N, H, W, C], to (score [N], heatmap [N, h, w]), float32, ≥ 0."""
        return self.distances(self.normalise(frames))

    @abstractmethod
    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Map normalised frames, float32 [N, C, H, W], to (score [N], heatmap [N, h, w]), float32, ≥ 0."""

    def content(self, frames: Tensor) -> Tensor | None:
        """Which pixels of normalised frames [N, C, H, W] count: [N, 1, H, W], 1 or 0; None: all of them.

        N is 1 where only a mask says so, which is that of all frames.
        """
        if self.padding is None:
            return self.mask.pixels() if self.mask.given else None
        scale = self.normalise.scale
        content = find_content(frames, (self.padding - self.normalise.low) * scale - 1.0, scale)
        return content * self.mask.pixels() if self.mask.given else content

    def reconstruction(self, frames: Tensor) -> Tensor | None:
        """Reconstruct normalised frames [N, C, H, W] for the training report; None if the networks cannot."""
        return None

    @property
    def dtype(self) -> torch.dtype:
        """The networks' floating-point type."""
        return next(self.networks.parameters()).dtype


class ReferenceScorer(Scorer):
    """The paper's score (section 3.3), and a heatmap.

    Score: mean squared difference of the two latent vectors, as in the test of the authors' code (the paper's equation
    6 writes the L1 distance, its text and the code use L2). Heatmap: |x − G(x)|, mean over the channels, blurred by a
    fixed Gaussian and averaged down by 4; the paper has none.
    """

    networks: Generator
    heatmap_stride = 4

    def __init__(self, networks: Generator, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.register_buffer("kernel", gaussian_kernel(radius=4, sigma=2.0), persistent=False)
        self.kernel: Tensor

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        reconstruction, latent, reconstruction_latent = self.networks(frames.to(self.dtype))
        score = (latent.float() - reconstruction_latent.float()).square().flatten(1).mean(1)
        residual = (frames - reconstruction.float()).abs().mean(1, keepdim=True)
        heatmap = functional.avg_pool2d(gaussian_blur(residual, self.kernel), self.heatmap_stride)
        return score, counted(heatmap, self.content(frames)).squeeze(1)

    def reconstruction(self, frames: Tensor) -> Tensor:
        result: Tensor = self.networks(frames.to(self.dtype))[0]
        return result


def gaussian_kernel(radius: int, sigma: float) -> Tensor:
    """Compute a one-dimensional Gaussian of 2·radius+1 taps that sum to 1; `sigma` in pixels."""
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float32) / sigma) ** 2)
    return taps / taps.sum()


def gaussian_blur(maps: Tensor, kernel: Tensor) -> Tensor:
    """Blur maps [N, 1, H, W] along both axes, with replicated edges; the kernel is one-dimensional and odd."""
    radius = kernel.numel() // 2
    padded = functional.pad(maps, (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1))
