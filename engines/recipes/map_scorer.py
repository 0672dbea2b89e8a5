"""The default score: how far the two encoders' latents are apart, in units of how far they are on good frames.

Two heatmaps say where:

- taught: the distance between the first encoder's latent vector of the frame and the second's of its reconstruction,
  √(1 + |difference|²) − 1, mean of the two finest maps (strides 4 and 8), which the coarser ones have told what they
  know; the networks were taught by synthetic damage to keep it short where all is well. It finds damage wherever it
  is, also where no two parts are alike;
- by place: the Mahalanobis distance between the first encoder's features after one layer and those that good frames
  have there (`engines.networks.place_distance`), root mean square over 3×3 places. It finds what is unlike itself
  where parts lie alike, such as a missing hole.

Each is divided by the level that one good frame in a million is expected to reach, going by those held out
(`tail_level`), so that the one which is restless on good frames speaks up less. How much the second one has to say is
measured on good frames: R, the share of the features' variance that the place explains. The heat is
√((R · by place)² + taught²), and what was taught is believed as far as by place / R is high close by: where parts lie
alike it is now and then very sure of a good one, and where they do not, only it knows. Heatmaps of frames larger than
256 pixels are smoothed.

The score is the square of hot or of whole, whichever is larger: a squared distance as in the paper's code, whose tail
on good frames is about exponential, which is what thresholds beyond the calibration window are extrapolated with. Hot
is the hottest place; whole is the distance, 1 − cosine, between the description of the whole frame and the five nearest
ones of good frames, their mean, which finds the part that is sound everywhere and yet the wrong one; both encoders have
learned these descriptions together, each from what the other sees. Both numbers are divided by their median over
held-out good frames first. How much the second has to say is measured on good frames as well: it is multiplied by K,
how much nearer the nearest good frames are than just any (`kinship`). Where good frames are of kinds, as digits are, K
is near 1; where they are all alike, or each is on its own, it is near 0, and being far from them means little.
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
from engines.networks.place_distance import PlaceDistance, explained
from engines.recipes.scorer import Scorer, gaussian_kernel, smooth

# Good frames that are remembered at most: 64 values each, 1 MB in the graph. MNIST, digit 9 (one model): AUROC of the
# whole frame alone 0.870 with 480 of them, 0.883 with 7,192.
_REMEMBERED = 8192

# The nearest good frames that count. Five in place of one: AUROC of the whole frame alone 0.731 and 0.951 for 0.715 and
# 0.955, on letters that fonts draw (G the anomaly) and on the 8×8 digits of the UCI repository (9); one model each.
_NEAREST = 5

# K counts as this at least: the whole frame's distance is divided by its median / K. How hottest place and whole frame
# were put together, and what else was tried: DECISIONS.md.
_LEAST_KINSHIP = 1e-3

# A smaller difference between descriptions than 1 − cos = 0.01 says nothing: on parts that are all the same it is
# rounding.
_LEAST_WHOLE = 0.01

# Maps that make the taught heatmap, finest first. On DeepPCB, after a third of the usual training, the finest map alone
# gave pixel AUROC 0.90 and PRO 0.71, the mean of strides 8, 16 and 32 only 0.86 and 0.60: coarse maps smear.
_HEAT_LEVELS = 2

# The level of a heatmap is where one good frame in so many is expected to have its hottest place.
_LEVEL_FRAMES = 1_000_000

# Places that count as close by, in each direction: 16 pixels of the frame.
_CLOSE = 4

# Parts never lie still: distances by place are taken together over so many places a side. On the simulated plate the
# hottest place then lay on the defect for 95 % of the bad parts, for 88 % without; in the X-ray mode for 97 and 90 %
# (masks at the heatmap's resolution, as are places; one model each).
_TOGETHER = 3

# Frames up to 256 pixels have 64 places a side. More of them see more than is asked for: they are smoothed with a
# standard deviation of 1/80 of the side. On DeepPCB at 640 pixels (1,500 steps, one run) this took pixel AUROC from
# 0.930 to 0.951 and PRO from 0.83 to 0.87, twice as much to 0.943 and 0.84. At 256 pixels one place of it changed next
# to nothing, two made both worse.
_FINE_SIDE, _SMOOTHED_SHARE = 64, 1.0 / 80.0

# Where the place explains less than this, it has no say.
_LEAST_EXPLAINED = 1e-3

# By how much the light changes on a line, either way. On the simulated plate, statistics of frames as they were took
# parts in a light three standard deviations off for bad: 4.5 times the median; with this, none was above 2.
_LIGHT = 0.06


def map_distances(latents: Latents) -> list[Tensor]:
    """Distances of the latent maps, fine to coarse, each float32 [N, h, w], ≥ 0.

    |difference|² is divided by the square root of the number of channels, which keeps the distances of untrained
    networks near 1.
    """
    return [distance.squeeze(1) for distance in _distances(latents)]


def lengths(maps: list[Tensor]) -> list[Tensor]:
    """Distances of latent maps from the origin, where good frames lie: as `map_distances` with a perfect second map."""
    return [_distance(first.float()).squeeze(1) for first in maps]


def _distances(latents: Latents) -> list[Tensor]:
    """As `map_distances`, each [N, 1, h, w]."""
    return [_distance(first.float(), again.float()) for first, again in zip(latents.first, latents.again, strict=True)]


def _distance(first: Tensor, again: Tensor | float = 0.0) -> Tensor:
    difference = first - again
    # A product, since `square` becomes a general power in ONNX, ten times as slow.
    squares = (difference * difference).sum(1, keepdim=True) / first.shape[1] ** 0.5
    distance: Tensor = (1.0 + squares).sqrt() - 1.0
    return distance


class MapScorer(Scorer):
    """The exported module of the default recipe; `settle` it on good frames first."""

    networks: MapGenerator

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        self.places = PlaceDistance()
        self.register_buffer("remembered", torch.zeros(1, IDENTITY, dtype=torch.float16))
        self.register_buffer("explained", torch.ones(()))
        self.register_buffer("levels", torch.ones(2))
        self.register_buffer("usual", torch.ones(2))
        self.remembered: Tensor
        self.explained: Tensor
        """R, how much of what good frames look like is due to the place:
        `engines.networks.place_distance.explained`."""
        self.levels: Tensor
        """Of the two heatmaps, taught and by place: see `tail_level`."""
        self.usual: Tensor
        """Medians over held-out good frames: of the hottest place, and of the distance of whole frames / K."""

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        latents = self.networks(frames)
        heat = self._heat(latents)
        hot, whole = heat.amax((1, 2, 3)) / self.usual[0], self._whole(latents.identity) / self.usual[1]
        larger = torch.maximum(hot, whole)
        return larger * larger, heat.squeeze(1)

    @torch.no_grad()
    def settle(self, learned: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Learn the statistics of good frames from batches of normalised ones [N, C, H, W].

        What frames are like is taken from those that were learned from, each in a light of its own; how far good ones
        stray, from those held out: on the former every distance is a little too short.
        """
        shallow, identities = [], []
        generator = torch.Generator().manual_seed(0)
        for frames in learned:
            latents = self.networks(self._relit(frames, generator))
            shallow.append(latents.shallow)
            identities.append(latents.identity)
        everyone, maps = torch.cat(identities), torch.cat(shallow)
        self.remembered = everyone[:: -(-len(everyone) // _REMEMBERED)].half()
        self.places.fit(maps)
        self.explained = explained(maps).clamp(min=_LEAST_EXPLAINED)
        self._measure(held_out)

    def reconstruction(self, frames: Tensor) -> Tensor:
        drawn: Tensor = self.networks(frames).reconstruction * self.networks.spread + self.networks.centre
        return drawn

    def _relit(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Frames under a lamp, or in front of a tube, that is stronger or weaker by up to `_LIGHT`."""
        dark = -self.normalise.low * self.normalise.scale - 1.0
        gain = 1.0 + _LIGHT * (2.0 * torch.rand((len(frames), 1, 1, 1), generator=generator) - 1.0)
        return ((frames - dark) * gain + dark).clamp(max=float(frames.max()))

    def _measure(self, held_out: Iterable[Tensor]) -> None:
        both, each_identity = [], []
        for frames in held_out:
            latents = self.networks(frames)
            both.append(self._squared_heats(latents))
            each_identity.append(latents.identity)
        hottest = [torch.cat([square.amax((1, 2, 3)) for square in some]).sqrt() for some in zip(*both, strict=True)]
        self.levels = torch.stack([tail_level(some) for some in hottest])
        hot = torch.cat([self._joint(*squares).amax((1, 2, 3)) for squares in both])
        identities = torch.cat(each_identity)
        whole = self._whole(identities).median().clamp(min=_LEAST_WHOLE)
        kin = kinship(identities, self.remembered.float()).clamp(min=_LEAST_KINSHIP)
        self.usual = torch.stack([hot.median().clamp(min=1e-6), whole / kin])

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Take over the size of what was settled."""
        self.remembered = torch.zeros_like(state_dict.get(f"{prefix}remembered", self.remembered))
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _squared_heats(self, latents: Latents) -> tuple[Tensor, Tensor]:
        """Squares of two heatmaps: what was taught by damage, and places that are unlike themselves; each [N, 1, h, w].

        In small frames every step of the graph counts, and a root that is squared again would be two for nothing.
        """
        taught = _taught_heat(latents)
        by_place = functional.avg_pool2d(
            self.places.squares(latents.shallow), _TOGETHER, 1, _TOGETHER // 2, count_include_pad=False
        )
        return taught * taught, by_place

    def _heat(self, latents: Latents) -> Tensor:
        return self._joint(*self._squared_heats(latents))

    def _joint(self, taught: Tensor, by_place: Tensor) -> Tensor:
        """Heatmaps [N, 1, h, w] from the squares of the two."""
        said = by_place * (self.explained / self.levels[1]).square()
        # said is (R · by place)², this is (by place / R)².
        close_by = functional.max_pool2d(said, 2 * _CLOSE + 1, 1, _CLOSE) / self.explained**4
        believed = torch.minimum(taught / self.levels[0].square(), close_by)
        return _smoothed((said + believed).sqrt())

    def _whole(self, identity: Tensor) -> Tensor:
        return _nearest(1.0 - identity @ self.remembered.float().T)


def kinship(identities: Tensor, remembered: Tensor) -> Tensor:
    """K: how much nearer the nearest of the remembered good frames are than just any, 0 … 1 (a scalar tensor).

    Medians over other good frames, of distances 1 − cosine between unit vectors [N, C] and [M, C].

    >>> kinds, one = torch.eye(8).repeat(5, 1), torch.eye(8)[:1].repeat(40, 1)
    >>> float(kinship(kinds, kinds)), float(kinship(one, one)), float(kinship(torch.eye(8)[:4], torch.eye(8)[4:]))
    (1.0, 0.0, 0.0)
    """
    distances = 1.0 - identities @ remembered.T
    return (distances.median() - _nearest(distances).median()).clamp(0.0, 1.0)


def _nearest(distances: Tensor) -> Tensor:
    """Mean distance [N] of the nearest few, of distances [N, M]."""
    return distances.topk(min(_NEAREST, distances.shape[1]), largest=False).values.mean(1)


def _taught_heat(latents: Latents) -> Tensor:
    finest = latents.first[0].shape[-2:]
    levels = [
        functional.interpolate(distance, size=finest, mode="bilinear", align_corners=False)
        for distance in _distances(latents)[:_HEAT_LEVELS]
    ]
    return sum(levels[1:], levels[0]) / len(levels)


def _smoothed(heat: Tensor) -> Tensor:
    """Heatmaps [N, 1, h, w] without what is finer than anybody asks for."""
    side = max(heat.shape[2:])
    if side <= _FINE_SIDE:
        return heat
    sigma = side * _SMOOTHED_SHARE
    kernel = gaussian_kernel(radius=math.ceil(3.0 * sigma), sigma=sigma).to(heat)
    return smooth(heat, kernel)


def tail_level(hottest: Tensor) -> Tensor:
    """Where one good frame in `_LEVEL_FRAMES` is expected, from the hottest places [N] of held-out ones.

    As if what is above the median fell off exponentially: a heatmap that is now and then very hot on good frames gets a
    high level, and so little say, however low it is on most of them.
    """
    middle = hottest.median()
    excess = (hottest - middle).clamp(min=0.0)
    beyond = excess.sum() / (excess > 0).sum().clamp(min=1)
    return (middle + beyond * math.log(_LEVEL_FRAMES / 2)).clamp(min=1e-6)
