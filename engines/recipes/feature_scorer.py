"""The score on pretrained features: four branches, each in units of its own tail on good frames.

- `peak`: the hottest place of the heatmap of `engines.recipes.map_scorer`, latent distance and Mahalanobis distance.
- `identity`: the identity distance of the same module.
- `local`: the mean of the five most unfamiliar places of the frame.
- `whole`: the mean over all its places: a frame that is a little unfamiliar everywhere.

How unfamiliar a place is, four `PatchMemory` modules measure, of the backbone's two deepest features, each of the frame
as it is and of the frame relative to itself, with its own mean and contrast taken out: a change of light says nothing
there, while absolute density, which is all that shows a steel part in an X-ray image, is in the other. Each map is
divided by its mean on held-out good frames before the four are averaged.

A branch counts in units z = (value − median) / mean excess above the median, both of held-out good frames, so that one
whose good frames scatter widely weighs less. The score is the weighted mean of z⁺ = (z + √(z² + 4)) / 2, which is 1 for
a usual good frame, never negative, and z where a frame is far off: the branches that see nothing add little, and those
that see something a little add up. The tail of good frames is about exponential, which thresholds beyond the
calibration window are extrapolated with.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Normalisation
from engines.networks.backbone import CHANNELS
from engines.networks.feature_maps import FeatureGenerator
from engines.networks.latent_maps import Latents
from engines.recipes.content import counted, filled_at_random, mean_of
from engines.recipes.map_scorer import MapScorer, neighbour_contrast
from engines.recipes.patch_memory import PatchMemory, random_patches

# Weights of the branches, chosen on solar cells, baggage and MNIST (digit 9 the anomaly), one model each of 300 steps:
# AUROC 0.928, 0.930 and 0.934; with equal weights 0.921, 0.938 and 0.919; the largest branch instead of the mean 0.895,
# 0.919 and 0.904.
_WEIGHTS = (0.5, 1.0, 1.0, 1.0)

# Up to this side, pixels, identities are learned in every step (`engines.recipes.map_learner`) and count twice: MNIST
# as above 0.944.
_SMALL_SIDE, _SMALL_WEIGHTS = 64, (0.5, 2.0, 1.0, 1.0)

# Most unfamiliar places that are averaged.
_PLACES = 5

# A frame relative to itself has this standard deviation, 51 of 255 gray levels. The second, one gray level, is added to
# its own: less contrast than that is noise.
_RELATIVE_STD, _LEAST_STD = 0.4, 0.008

# Least mean excess, as a share of the median: held-out frames that are all but the same say nothing about a tail.
_LEAST_EXCESS = 0.02

# Least K, the contrast of the nearest neighbours: the identity's mean excess is divided by it.
_LEAST_CONTRAST = 1e-3


class _Evidence(NamedTuple):
    """What a frame is judged by."""

    branches: Tensor
    """Values of the four branches, [N, 4]."""
    heatmap: Tensor
    """Of latent and Mahalanobis distance, [N, 1, H/4, W/4]."""
    unfamiliar: Tensor
    """Mean distance to the memories, [N, 1, H/16, W/16]; 1 is usual."""
    latents: Latents
    content: Tensor | None
    """Which pixels are no padding, [N, 1, H, W]; None: all of them."""


class FeatureScorer(MapScorer):
    """The exported module of the recipe `pretrained`; `fit` it to good frames first."""

    networks: FeatureGenerator
    remembers_frames: ClassVar[bool] = True

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.memories = nn.ModuleList(PatchMemory(channels) for channels in 2 * CHANNELS[2:])
        self.register_buffer("familiar", torch.ones(4))
        self.register_buffer("medians", torch.zeros(4))
        self.register_buffer("excesses", torch.ones(4))
        self.familiar: Tensor
        """Mean distance to each memory on held-out good frames, [4]."""
        self.medians: Tensor
        """Medians of the branches over held-out good frames, [4]."""
        self.excesses: Tensor
        """Their mean excesses above the median, [4]; the identity's is divided by K."""

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        evidence = self._evidence(frames)
        units = (evidence.branches - self.medians) / self.excesses
        counted = 0.5 * (units + (units * units + 4.0).sqrt())
        weights = _SMALL_WEIGHTS if max(frames.shape[2:]) <= _SMALL_SIDE else _WEIGHTS
        shares = torch.tensor(weights, dtype=counted.dtype) / sum(weights)
        return (counted * shares).sum(1), self._joint_heatmap(evidence).squeeze(1)

    def reconstruction(self, frames: Tensor) -> Tensor | None:
        """None: features are restored, not frames."""
        return None

    @torch.no_grad()
    def fit(self, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Fit the statistics of good frames, from batches of normalised frames [N, C, H, W]; see `MapScorer.fit`."""
        generator = torch.Generator().manual_seed(0)
        stems, embeddings, patches = [], [], []
        batches = list(trained_on)
        count = sum(len(frames) for frames in batches)
        for frames in batches:
            content = self.content(frames)
            deep, inputs = self._deep_features(self._relit(frames, generator), content)
            latents = self.networks.latents(inputs, content=content)
            stems.append(filled_at_random(latents.stem, content, generator))
            embeddings.append(latents.identity)
            patches.append([random_patches(maps, count, generator, content) for maps in deep])
        self._fit_statistics(torch.cat(stems), torch.cat(embeddings))
        for memory, parts in zip(self._memories, zip(*patches, strict=True), strict=True):
            memory.fit(torch.cat(parts), generator)
        self._fit_units(list(held_out))

    def _fit_units(self, held_out: list[Tensor]) -> None:
        self._fit_scales(held_out)
        self.familiar = self._mean_distances(held_out)
        everything = [self._evidence(frames) for frames in held_out]
        branches = torch.cat([evidence.branches for evidence in everything])
        self.medians = branches.median(0).values
        excess = (branches - self.medians).clamp(min=0.0)
        mean_excess = excess.sum(0) / (excess > 0).sum(0).clamp(min=1)
        self.excesses = torch.maximum(mean_excess, _LEAST_EXCESS * self.medians).clamp(min=1e-6)
        embeddings = torch.cat([evidence.latents.identity for evidence in everything])
        contrast = neighbour_contrast(embeddings, self.remembered.float()).clamp(min=_LEAST_CONTRAST)
        self.excesses[1] = self.excesses[1] / contrast

    def _mean_distances(self, held_out: list[Tensor]) -> Tensor:
        """Mean distance to each memory over all places of good frames, [4]."""
        means = []
        for frames in held_out:
            content = self.content(frames)
            deep, _ = self._deep_features(frames, content)
            means += [
                torch.stack([mean_of(memory(maps), content) for memory, maps in zip(self._memories, deep, strict=True)])
            ]
        return torch.cat(means, 1).mean(1).clamp(min=1e-6)

    def _evidence(self, frames: Tensor) -> _Evidence:
        content = self.content(frames)
        deep, inputs = self._deep_features(frames, content)
        latents = self.networks.latents(inputs, content=content)
        heatmap = self._heatmap(latents, content)
        unfamiliar = self._unfamiliar(deep)
        branches = (
            heatmap.amax((1, 2, 3)),
            self.identity_distance(latents.identity),
            _hottest(counted(unfamiliar, content)),
            mean_of(unfamiliar, content),
        )
        return _Evidence(torch.stack(branches, 1), heatmap, unfamiliar, latents, content)

    def _joint_heatmap(self, evidence: _Evidence) -> Tensor:
        """Both maps at stride 4, each in units of the usual frame's hottest place."""
        size = evidence.heatmap.shape[-2:]
        enlarged = functional.interpolate(evidence.unfamiliar, size=size, mode="bilinear", align_corners=False)
        return evidence.heatmap / self.medians[0] + counted(enlarged, evidence.content) / self.medians[2]

    def _deep_features(self, frames: Tensor, content: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        """The maps that the memories see, in their order, and the standardised inputs of the first encoder."""
        plain, relative = self.networks.features(frames), self.networks.features(relative_to_itself(frames, content))
        deep = [plain.stride16, plain.context, relative.stride16, relative.context]
        return deep, self.networks.standardised(plain)

    def _unfamiliar(self, deep: list[Tensor]) -> Tensor:
        """Mean distance to the memories, each in units of its mean on good frames: [N, 1, H/16, W/16]."""
        shares = [
            memory(maps) / (len(deep) * level)
            for memory, maps, level in zip(self._memories, deep, self.familiar, strict=True)
        ]
        return torch.stack(shares).sum(0)

    @property
    def _memories(self) -> list[PatchMemory]:
        return [memory for memory in self.memories if isinstance(memory, PatchMemory)]


def relative_to_itself(frames: Tensor, content: Tensor | None = None) -> Tensor:
    """Take the mean and the contrast of each frame [N, C, H, W] out of it; those of its content."""
    centred = frames - _mean_over_all(frames, content)
    spread = _mean_over_all(centred * centred, content).sqrt()
    return centred * (_RELATIVE_STD / (spread + _LEAST_STD))


def _mean_over_all(maps: Tensor, content: Tensor | None) -> Tensor:
    """Mean over channels and places with content: [N, 1, 1, 1]."""
    if content is None:
        return maps.mean((1, 2, 3), keepdim=True)
    return mean_of(maps.mean(1, keepdim=True), content)[:, None, None, None]


def _hottest(maps: Tensor) -> Tensor:
    """Mean of the hottest places of maps [N, 1, h, w]: [N]."""
    places = maps.flatten(1)
    return places.topk(min(_PLACES, places.shape[1]), dim=1).values.mean(1)
