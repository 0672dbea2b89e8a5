"""The score of `scratch`: latent distance and Mahalanobis distance per place, and the identity of the whole frame.

Two anomaly maps locate defects:

- The latent distance map: the distance √(1 + |difference|²) − 1 between the first encoder's latent vector of the frame
  and the second's of the reconstruction, mean of the two finest maps (strides 4 and 8), which get the coarser maps'
  context through the top-down path. Training on synthetic anomalies keeps it short on good frames. It finds defects
  anywhere, even if no two parts are alike.
- The Mahalanobis map: the distance of the first layer's features from those that good frames have at the same place
  (`engines.networks.place_distance`), root mean square over 3×3 places. Where all parts lie alike it finds what differs
  from them, such as a missing hole.

Each map is divided by the level that one good frame in a million is expected to reach, extrapolated from the held-out
frames (`tail_level`), so that a map that is noisy on good frames weighs less. The weight of the Mahalanobis map is
measured on good frames as well: R, the share of the features' variance that the place explains. The fused heatmap is
√((R · Mahalanobis)² + latent²), with the latent distance limited to Mahalanobis / R of its neighbourhood: where parts
lie alike, the latent distance is occasionally very high on a good part; where they do not, it is the only evidence.
Heatmaps of frames larger than 256 pixels are smoothed.

The score is the square of the larger of two numbers, each divided by its median over held-out good frames:

- the peak of the heatmap, in which places count by their sensitivity (`PlaceFactors`);
- the identity distance: the mean distance, 1 − cosine, of the frame's identity embedding to the five nearest embeddings
  of good frames (k nearest neighbours). It finds a part without any local defect that is nevertheless the wrong part.
  Both encoders have learned these embeddings together, each from its own view.

Squared distances are as in the paper's code. Their tail on good frames is about exponential, which is what thresholds
beyond the calibration window are extrapolated with. The identity distance is weighted by K, the contrast of the
nearest neighbours (`neighbour_contrast`), measured on good frames too: K is near 1 if good frames fall into classes, as
digits do, and near 0 if they are all alike or all different, when a long distance means little.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Normalisation
from engines.networks.latent_maps import IDENTITY, Latents, MapGenerator
from engines.networks.place_distance import PlaceDistance, place_explained_variance
from engines.recipes.content import counted, filled_at_random
from engines.recipes.scorer import Scorer, gaussian_blur, gaussian_kernel

# Size of the memory bank, embeddings of good frames: 64 values each, 1 MB in the graph. MNIST, digit 9 (one model):
# AUROC of the identity distance alone 0.870 with 480 of them, 0.883 with 7,192.
_MEMORY_BANK = 8192

# Nearest neighbours that are averaged. Five rather than one gave AUROC of the identity distance alone 0.731 and 0.951
# instead of 0.715 and 0.955, on letters from fonts (G the anomaly) and on the 8×8 digits of the UCI repository (9); one
# model each.
_NEIGHBOURS = 5

# Least K: the identity distance is divided by its median / K. docs/decisions/0047-score-is-the-larger-of-two.md has the
# alternatives to this combination of peak and identity distance.
_MIN_CONTRAST = 1e-3

# Least median of the identity distance. Differences below 1 − cos = 0.01 say nothing: if all parts are the same they
# are rounding.
_MIN_IDENTITY_DISTANCE = 0.01

# Maps that make up the latent distance map, finest first. On DeepPCB, after a third of the usual training, the finest
# map alone gave pixel AUROC 0.90 and PRO 0.71, the mean of strides 8, 16 and 32 only 0.86 and 0.60: coarse maps smear.
_FINEST_MAPS = 2

# The level of an anomaly map is what the peak of one good frame in this many is expected to reach.
_LEVEL_FRAMES = 1_000_000

# Radius of the neighbourhood, in places, that limits the latent distance: 16 pixels of the frame.
_NEIGHBOURHOOD = 4

# Side of the window, in places, that squared Mahalanobis distances are averaged over, since parts never lie perfectly
# still. On the simulated plate the hottest place then was on the defect for 95 % of the bad parts, for 88 % without; in
# the X-ray mode for 97 and 90 % (masks at the heatmap's resolution, one model each).
_POOLED = 3

# Heatmaps of frames up to 256 pixels have 64 places a side. Finer ones show more detail than is needed and are smoothed
# with a standard deviation of 1/80 of the side. On DeepPCB at 640 pixels (1,500 steps, one run) this raised pixel AUROC
# from 0.930 to 0.951 and PRO from 0.83 to 0.87; twice as much smoothing gave 0.943 and 0.84. At 256 pixels one place of
# smoothing changed next to nothing, two made both worse.
_UNSMOOTHED_SIDE, _SMOOTHING = 64, 1.0 / 80.0

# Least R.
_MIN_EXPLAINED = 1e-3

# Change of light on a line, either way. On the simulated plate, with statistics of unchanged frames, parts in a light
# three standard deviations off scored as bad: 4.5 times the median. With relit frames none was above 2.
_LIGHT = 0.06


def latent_distances(latents: Latents) -> list[Tensor]:
    """Compute the distances between the two encoders' latent maps, fine to coarse, each float32 [N, h, w], ≥ 0.

    |difference|² is divided by the square root of the number of channels, which keeps the distances of untrained
    networks near 1.
    """
    return [distance.squeeze(1) for distance in _latent_distances(latents)]


def distances_from_origin(maps: list[Tensor]) -> list[Tensor]:
    """Compute the distances of latent maps from the origin: `latent_distances` with a second map of zeros."""
    return [_distance(map_.float()).squeeze(1) for map_ in maps]


def _latent_distances(latents: Latents) -> list[Tensor]:
    """As `latent_distances`, but each [N, 1, h, w]."""
    return [
        _distance(frame.float(), reconstruction.float())
        for frame, reconstruction in zip(latents.of_frame, latents.of_reconstruction, strict=True)
    ]


def _distance(frame: Tensor, reconstruction: Tensor | float = 0.0) -> Tensor:
    difference = frame - reconstruction
    # A product, since `square` becomes a general power in ONNX, which is ten times as slow.
    squares = (difference * difference).sum(1, keepdim=True) / frame.shape[1] ** 0.5
    distance: Tensor = (1.0 + squares).sqrt() - 1.0
    return distance


class MapScorer(Scorer):
    """The exported module of the recipe `scratch`; `fit` it to good frames first.

    Names of buffers are the keys of `weights.npz` and the initialisers of the ONNX graph. Bundles in use have them, so
    they cannot be renamed.
    """

    networks: MapGenerator

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.places = PlaceDistance()
        self.register_buffer("remembered", torch.zeros(1, IDENTITY, dtype=torch.float16))
        self.register_buffer("explained", torch.ones(()))
        self.register_buffer("levels", torch.ones(2))
        self.register_buffer("usual", torch.ones(2))
        self.remembered: Tensor
        """The memory bank: identity embeddings of good frames, unit vectors [M, 64], float16."""
        self.explained: Tensor
        """R, the share of the variance that the place explains, a scalar: `place_explained_variance`."""
        self.levels: Tensor
        """`tail_level` of the latent distance map and of the Mahalanobis map, [2]."""
        self.usual: Tensor
        """Medians over held-out good frames, [2]: of the heatmap's peak, and of the identity distance / K."""

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        content = self.content(frames)
        latents = self.networks(frames, content=content)
        heatmap = self.factors.applied(self._heatmap(latents, content))
        peak = heatmap.amax((1, 2, 3)) / self.usual[0]
        identity = self.identity_distance(latents.identity) / self.usual[1]
        larger = torch.maximum(peak, identity)
        return larger * larger, heatmap.squeeze(1)

    def identity_distance(self, embeddings: Tensor) -> Tensor:
        """Compute the distance [N] of identity embeddings [N, 64] to their nearest neighbours in the memory bank."""
        return _nearest_neighbours(1.0 - embeddings @ self.remembered.float().T)

    @torch.no_grad()
    def fit(self, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Fit the statistics of good frames, from batches of normalised frames [N, C, H, W].

        Memory bank and statistics of places come from the frames trained on, each under a different light. Levels and
        medians come from the held-out frames, since distances of frames trained on are a little too short.
        """
        stems, embeddings = [], []
        generator = torch.Generator().manual_seed(0)
        for frames in trained_on:
            content = self.content(frames)
            latents = self.networks(self._relit(frames, generator), content=content)
            stems.append(filled_at_random(latents.stem, content, generator))
            embeddings.append(latents.identity)
        self._fit_statistics(torch.cat(stems), torch.cat(embeddings))
        squares, identities = [], []
        for frames in held_out:
            content = self.content(frames)
            latents = self.networks(frames, content=content)
            squares.append(self._squared_maps(latents, content))
            identities.append(latents.identity)
        self._fit_scales(squares, torch.cat(identities))

    def _fit_statistics(self, maps: Tensor, all_embeddings: Tensor) -> None:
        """Fit memory bank and statistics of places to all stem features and identity embeddings of good frames."""
        self.remembered = all_embeddings[:: -(-len(all_embeddings) // _MEMORY_BANK)].half()
        self.places.fit(maps)
        self.explained = place_explained_variance(maps).clamp(min=_MIN_EXPLAINED)

    def reconstruction(self, frames: Tensor) -> Tensor | None:
        result: Tensor = self.networks(frames).reconstruction[0] * self.networks.spread + self.networks.centre
        return result

    def _relit(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Frames under a lamp, or in front of a tube, that is stronger or weaker by up to `_LIGHT`."""
        dark = -self.normalise.low * self.normalise.scale - 1.0
        gain = 1.0 + _LIGHT * (2.0 * torch.rand((len(frames), 1, 1, 1), generator=generator) - 1.0)
        return self.mask.filled(((frames - dark) * gain + dark).clamp(max=float(frames.max())))

    def _fit_scales(self, maps: list[tuple[Tensor, Tensor]], all_embeddings: Tensor) -> None:
        """Fit levels and medians to squared maps, batch by batch, and identity embeddings of held-out good frames."""
        peaks = [torch.cat([squares.amax((1, 2, 3)) for squares in each]).sqrt() for each in zip(*maps, strict=True)]
        self.levels = torch.stack([tail_level(each) for each in peaks])
        fused_peaks = torch.cat([self._fused(*squares).amax((1, 2, 3)) for squares in maps])
        identity = self.identity_distance(all_embeddings).median().clamp(min=_MIN_IDENTITY_DISTANCE)
        contrast = neighbour_contrast(all_embeddings, self.remembered.float()).clamp(min=_MIN_CONTRAST)
        self.usual = torch.stack([fused_peaks.median().clamp(min=1e-6), identity / contrast])

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Resize the memory bank to that of the fitted module before it is loaded."""
        self.remembered = torch.zeros_like(state_dict.get(f"{prefix}remembered", self.remembered))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _heatmap(self, latents: Latents, content: Tensor | None) -> Tensor:
        return counted(self._fused(*self._squared_maps(latents, content)), content)

    def _squared_maps(self, latents: Latents, content: Tensor | None) -> tuple[Tensor, Tensor]:
        """Squares of the latent distance map and of the Mahalanobis map, each [N, 1, h, w], 0 where there is padding.

        Squared, since every node of the graph counts for small frames, and taking a root only to square it would add
        two.
        """
        latent = _latent_distance_map(latents)
        mahalanobis = functional.avg_pool2d(
            counted(self.places.squares(latents.stem), content), _POOLED, 1, _POOLED // 2, count_include_pad=False
        )
        return counted(latent * latent, content), counted(mahalanobis, content)

    def _fused(self, latent: Tensor, mahalanobis: Tensor) -> Tensor:
        """Fuse the squares of both maps into heatmaps [N, 1, h, w]."""
        # (R · Mahalanobis)², then (Mahalanobis / R)² of the neighbourhood.
        weighted = mahalanobis * (self.explained / self.levels[1]).square()
        limit = functional.max_pool2d(weighted, 2 * _NEIGHBOURHOOD + 1, 1, _NEIGHBOURHOOD) / self.explained**4
        limited = torch.minimum(latent / self.levels[0].square(), limit)
        return _smoothed((weighted + limited).sqrt())


def neighbour_contrast(embeddings: Tensor, memory_bank: Tensor) -> Tensor:
    """Compute K: how much nearer the nearest neighbours are than arbitrary good frames, a scalar in 0 … 1.

    The difference of two medians over held-out good frames, of distances 1 − cosine between unit vectors [N, C] and
    [M, C].

    >>> classes, one = torch.eye(8).repeat(5, 1), torch.eye(8)[:1].repeat(40, 1)
    >>> float(neighbour_contrast(classes, classes)), float(neighbour_contrast(one, one))
    (1.0, 0.0)
    >>> float(neighbour_contrast(torch.eye(8)[:4], torch.eye(8)[4:]))
    0.0
    """
    distances = 1.0 - embeddings @ memory_bank.T
    return (distances.median() - _nearest_neighbours(distances).median()).clamp(0.0, 1.0)


def _nearest_neighbours(distances: Tensor) -> Tensor:
    """Mean [N] of the distances [N, M] to the nearest neighbours."""
    return distances.topk(min(_NEIGHBOURS, distances.shape[1]), largest=False).values.mean(1)


def _latent_distance_map(latents: Latents) -> Tensor:
    size = latents.of_frame[0].shape[-2:]
    maps = [
        functional.interpolate(distance, size=size, mode="bilinear", align_corners=False)
        for distance in _latent_distances(latents)[:_FINEST_MAPS]
    ]
    return sum(maps[1:], maps[0]) / len(maps)


def _smoothed(heatmap: Tensor) -> Tensor:
    """Heatmaps [N, 1, h, w], blurred if they are finer than needed."""
    side = max(heatmap.shape[2:])
    if side <= _UNSMOOTHED_SIDE:
        return heatmap
    sigma = side * _SMOOTHING
    kernel = gaussian_kernel(radius=math.ceil(3.0 * sigma), sigma=sigma).to(heatmap)
    return gaussian_blur(heatmap, kernel)


def tail_level(peaks: Tensor) -> Tensor:
    """Extrapolate the level that one good frame in `_LEVEL_FRAMES` reaches, from the peaks [N] of held-out ones.

    Assumes an exponential tail above the median. A map that is occasionally very high on good frames thus gets a high
    level and little weight, however low it is on most of them.
    """
    median = peaks.median()
    excess = (peaks - median).clamp(min=0.0)
    mean_excess = excess.sum() / (excess > 0).sum().clamp(min=1)
    return (median + mean_excess * math.log(_LEVEL_FRAMES / 2)).clamp(min=1e-6)
