"""PaDiM: Mahalanobis distance of pretrained features from a Gaussian for each place.

Defard et al., "PaDiM: a patch distribution modeling framework for anomaly detection and localization", ICPR 2021:
features of three layers, enlarged to the finest and joined; a random choice of their channels (section 3.1); mean and
covariance of each place over good frames, regularised by 0.01 (equation 1); the score is the largest distance.

Differences from the paper: the features are those of our backbone, at strides 4, 8 and 16, instead of ResNet-18's or
WideResNet-50's, averaged to stride 8; covariances of all places are in memory at once. The heatmap is smoothed with a
standard deviation of four pixels, as in the paper.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.pretrained import pretrained_backbone
from engines.bundles import Frames
from engines.progress import Progress
from engines.recipes.scorer import gaussian_blur, gaussian_kernel

# Channels that are chosen at random, as for ResNet-18 in the paper; ε of equation 1; σ of the smoothing in pixels.
_CHANNELS, _REGULARISATION, _SIGMA = 100, 0.01, 4.0
_BATCH = 32


class Padim(Baseline):
    """A Gaussian for each place."""

    name: ClassVar[str] = "padim"
    title: ClassVar[str] = "PaDiM"
    paper: ClassVar[str] = "Defard et al. 2021"

    def __init__(self) -> None:
        super().__init__()
        self._backbone = pretrained_backbone()
        self._chosen = torch.zeros(1, dtype=torch.long)
        self._mean = torch.zeros(1)
        self._inverse_root = torch.zeros(1)

    @torch.no_grad()
    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        generator = torch.Generator().manual_seed(seed)
        channels = self._joined(frames[:1]).shape[1]
        self._chosen = torch.randperm(channels, generator=generator)[:_CHANNELS]
        maps = []
        for start in range(0, len(frames), _BATCH):
            maps.append(self._joined(frames[start : start + _BATCH])[:, self._chosen])
            progress(min(1.0, (start + _BATCH) / len(frames)), "measuring places")
        places = torch.cat(maps).flatten(2).permute(2, 0, 1)
        self._mean = places.mean(1)
        centred = places - self._mean[:, None]
        covariance = centred.transpose(1, 2) @ centred / (len(frames) - 1)
        regular = covariance + _REGULARISATION * torch.eye(covariance.shape[1])
        self._inverse_root = torch.linalg.inv(torch.linalg.cholesky(regular))

    @torch.no_grad()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        maps = self._joined(frames)[:, self._chosen]
        count, _, height, width = maps.shape
        centred = maps.flatten(2).permute(2, 1, 0) - self._mean[:, :, None]
        distances = (self._inverse_root @ centred).square().sum(1).sqrt().T.reshape(count, 1, height, width)
        heatmap = functional.interpolate(distances, size=frames.shape[1:3], mode="bilinear", align_corners=False)
        smoothed = gaussian_blur(heatmap, gaussian_kernel(radius=int(3 * _SIGMA), sigma=_SIGMA))[:, 0]
        return smoothed.amax((1, 2)).numpy(), smoothed.numpy()

    def _joined(self, frames: Frames) -> Tensor:
        features = self._backbone(self.normalised(frames))
        size = features.stride8.shape[-2:]
        coarse = (functional.interpolate(maps, size=size, mode="nearest") for maps in features[2:])
        return torch.cat([functional.avg_pool2d(features.stride4, 2), features.stride8, *coarse], 1)
