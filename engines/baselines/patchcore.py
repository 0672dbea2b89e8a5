"""PatchCore: distance to the nearest of a memory of good patches' pretrained features.

Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022: features of two middle layers, averaged
over 3×3 places, the coarser enlarged to the finer and joined; a coreset of them chosen greedily in a random projection
(section 3.2); a place's distance to the nearest of the memory is its heat, the largest the score, weighted by how the
nearest patch lies among its neighbours (equation 7).

Differences from the paper: the features are those of our backbone, at strides 8 and 16, instead of WideResNet-50's; the
coreset has 10 % of at most 20,000 patches. The heatmap is not smoothed.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.pretrained import joined_features, pretrained_backbone
from engines.bundles import Frames
from engines.progress import Progress
from engines.recipes.patch_memory import cover, random_patches

_CANDIDATES, _CORESET_SHARE = 20_000, 0.1
# Dimensions of the random projection.
_PROJECTED = 24
# Nearest neighbours in the memory that weight the score: b in equation 7.
_NEIGHBOURS = 9
_BATCH = 32


class PatchCore(Baseline):
    """Nearest remembered patch."""

    name: ClassVar[str] = "patchcore"
    title: ClassVar[str] = "PatchCore"
    paper: ClassVar[str] = "Roth et al. 2022"

    def __init__(self) -> None:
        super().__init__()
        self._backbone = pretrained_backbone()
        self._memory = torch.zeros(1, 1)

    @torch.no_grad()
    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        generator = torch.Generator().manual_seed(seed)
        patches = []
        for start in range(0, len(frames), _BATCH):
            features = self._features(frames[start : start + _BATCH])
            patches.append(random_patches(features, len(frames), generator, candidates=_CANDIDATES))
            progress(min(1.0, (start + _BATCH) / len(frames)), "remembering patches")
        candidates = torch.cat(patches)
        size = max(_NEIGHBOURS, round(len(candidates) * _CORESET_SHARE))
        projection = torch.randn((candidates.shape[1], _PROJECTED), generator=generator)
        self._memory = candidates[cover(candidates @ projection, size)]

    @torch.no_grad()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        features = self._features(frames)
        count, channels, height, width = features.shape
        points = features.permute(0, 2, 3, 1).reshape(count, -1, channels)
        distances, nearest = (torch.stack(each) for each in zip(*map(self._nearest, points), strict=True))
        heat = distances.reshape(count, 1, height, width)
        heatmap = functional.interpolate(heat, size=frames.shape[1:3], mode="bilinear", align_corners=False)
        scores = [self._weighted(*each) for each in zip(points, distances, nearest, strict=True)]
        return torch.stack(scores).numpy(), heatmap[:, 0].numpy()

    def _features(self, frames: Frames) -> Tensor:
        features = self._backbone(self.normalised(frames))
        return joined_features([features.stride8, torch.cat([features.stride16, features.context], 1)])

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Distance [K] of each point [K, C] to the nearest patch of the memory, and its index."""
        smallest = torch.cdist(points, self._memory).min(1)
        return smallest.values, smallest.indices

    def _weighted(self, points: Tensor, distances: Tensor, nearest: Tensor) -> Tensor:
        """The largest distance, less where the nearest patch is far from its own neighbours (equation 7)."""
        hottest = int(distances.argmax())
        own = self._memory[nearest[hottest]]
        neighbours = (
            (self._memory - own).square().sum(1).topk(min(_NEIGHBOURS, len(self._memory)), largest=False).indices
        )
        around = (self._memory[neighbours] - points[hottest]).square().sum(1).sqrt()
        weight = 1.0 - torch.softmax(around / points.shape[1] ** 0.5, 0)[0]
        return weight * distances[hottest]
