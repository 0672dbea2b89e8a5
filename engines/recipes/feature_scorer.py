"""The score on pretrained features: three branches, each in units of its own tail on good frames.

- `local`: the mean of the places that are farthest off, one in 64 but no fewer than three.
- `identity`: the identity distance of `engines.recipes.map_scorer`.
- `whole`: the mean over all places of how unfamiliar they are, at stride 16: a frame that is a little unfamiliar
  everywhere.

Two maps together measure how far off a place is, each in units of its own tail over good places: the heatmap of
`engines.recipes.map_scorer`, latent distance and Mahalanobis distance, of which the hottest of 4×4 places counts, and
how unfamiliar the place is. The heatmap has learned from drawn damage, and counts a quarter as much: it finds small
defects where no two parts are alike, but is hot on some good parts, too, where the features are usually familiar.

How unfamiliar a place is, six `PatchMemory` modules measure, of the backbone's features at strides 8 and 16, each of
the frame as it is and of the frame relative to itself, with its own mean and contrast taken out: a change of light says
nothing there, while absolute density, which is all that shows a steel part in an X-ray image, is in the other. Each map
is divided by its mean on held-out good frames before the six are averaged; of the finer ones, the hottest of 2×2 places
counts. Averaged with them is how much the features look like good ones with noise (`NoiseDiscriminators`), which counts
half as much, and not where good frames fall into classes.

Where good frames are few or small, the memories also hold patches of them flipped and rotated, in every way in which
good parts look the same: held-out frames turned so are no more unfamiliar to a memory of upright frames than upright
ones. On a texture, few frames then show as much as many.

Where regions have a sensitivity of their own (`PlaceFactors`), `local` is of maps that are multiplied by the factors of
their places, and so is the heatmap. In `whole`, the difference of each place from 1, the usual value, is multiplied.
`identity` sees the frame as a whole, and has no places.

A branch counts in units z = (value − median) / mean excess above the median, both of held-out good frames, so that one
whose good frames scatter widely weighs less. The identity's are multiplied by K⁴: it counts where good frames fall into
classes, as digits do (`neighbour_contrast`), and next to nothing elsewhere. Several images of one part are a class,
too, to which new parts look strange: except in tiny frames, its weight is small. The score is the weighted mean of
z⁺ = (z + √(z² + 4)) / 2, which is 1 for a usual good frame, never negative, and z where a frame is far off: the
branches that see nothing add little, and those that see something a little add up. The tail of good frames is about
exponential, which thresholds beyond the calibration window are extrapolated with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Geometry, Normalisation
from engines.networks.feature_maps import FeatureGenerator
from engines.networks.noise_discriminator import NoiseDiscriminators
from engines.recipes.augmentation import Turn, told_apart
from engines.recipes.content import at_counted_places, counted, filled_at_random, mean_of, relative_to_itself
from engines.recipes.feature_branches import (
    BRANCHES,
    EARLIER_BRANCHES,
    Deep,
    Evidence,
    Seen,
    at_places_of,
    averaged,
    earlier_weights,
    hottest,
    tail_of,
    weighted,
    weights_for,
)
from engines.recipes.map_scorer import MapScorer, neighbour_contrast
from engines.recipes.patch_memory import CANDIDATES, PatchMemory, random_patches

# Weight of the heatmap in how far off a place is; how unfamiliar it is has 1. Decisions 0122 and 0125 have others.
_HEAT_SHARE = 0.25

# Power of K that the identity counts with, and that the discriminators do not.
_CONTRAST_POWER = 4

# Part of the places that is averaged for `local`, and to find out how a frame may be turned.
_PART, _COMPARED_PART = 64, 32

# Good parts look the same when turned if neither `local` nor `whole` can tell turned held-out frames from upright ones:
# if the AUROC of both is at most this. It is 0.52 to 0.56 for solar cells upside down, 0.67 to 0.77 for crops of fish
# on their side, 1.00 for solar cells on their side. At most so many held-out frames are compared, and at least so many.
_TOLD_APART, _COMPARED, _LEAST_COMPARED = 0.6, 64, 5

# Most pixels of turned frames that patches are drawn from: 400 frames of 256 pixels take half a minute.
_TURNED_PIXELS = 400 * 256 * 256

# Least K, the contrast of the nearest neighbours: the identity's mean excess is divided by its power.
_LEAST_CONTRAST = 0.1


class FeatureScorer(MapScorer):
    """The exported module of the recipe `pretrained`; `fit` it to good frames first."""

    networks: FeatureGenerator
    remembers_frames: ClassVar[bool] = True

    def __init__(self, networks: nn.Module, normalisation: Normalisation) -> None:
        super().__init__(networks, normalisation)
        channels = self.networks.backbone.channels[1:]
        self.memories = nn.ModuleList(PatchMemory(each) for each in 2 * channels)
        self.noise = NoiseDiscriminators(channels)
        self.register_buffer("familiar", torch.ones(len(self.memories)))
        self.register_buffer("scatter", torch.ones(2))
        self.register_buffer("fine_weight", torch.zeros(()))
        self.register_buffer("usual_hottest", torch.ones(2))
        self.register_buffer("place_weights", torch.ones(2))
        self.register_buffer("medians", torch.zeros(len(BRANCHES)))
        self.register_buffer("excesses", torch.ones(len(BRANCHES)))
        self.register_buffer("weights", torch.zeros(len(BRANCHES)))
        self._has_weights = False
        self.familiar: Tensor
        """Mean distance to each memory on held-out good frames, [6]."""
        self.scatter: Tensor
        """Deviation over their places of the mean distance to all memories, and to those at stride 16, [2]."""
        self.fine_weight: Tensor
        """Weight of the distances at stride 8 in the heatmap, a scalar; 0 in bundles from before they were in it."""
        self.usual_hottest: Tensor
        """Medians over held-out good frames of the hottest of the heatmap and of the unfamiliar map, [2]."""
        self.place_weights: Tensor
        """Weights of these two maps in how far off a place is, [2]."""
        self.medians: Tensor
        """Medians of the branches over held-out good frames, [3]; [4] of `EARLIER_BRANCHES`."""
        self.excesses: Tensor
        """Their mean excesses above the median; the identity's is divided by K⁴."""
        self.weights: Tensor
        """Weights of the branches, [3]; 0 in bundles from before they were in it, which have `earlier_weights`."""

    def distances(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        evidence = self._evidence(self._seen(frames))
        return self._shares(evidence.branches, frames).sum(1), self._joint_heatmap(evidence).squeeze(1)

    def branches(self, frames: Tensor) -> Tensor:
        """Compute what each of `BRANCHES` adds to the score of normalised frames [N, C, H, W]: [N, 3]."""
        return self._shares(self._evidence(self._seen(frames)).branches, frames)

    def reconstruction(self, frames: Tensor) -> Tensor | None:
        """None: features are restored, not frames."""
        return None

    @torch.no_grad()
    def fit(self, trained_on: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        """Fit the statistics of good frames, from batches of normalised frames [N, C, H, W]; see `MapScorer.fit`."""
        generator = torch.Generator().manual_seed(0)
        stems, embeddings, patches = [], [], []
        batches, judged_by = list(trained_on), list(held_out)
        count = sum(len(frames) for frames in batches)
        for frames in batches:
            content = self.content(frames)
            deep, inputs = self._deep_features(self._relit(frames, generator), content)
            latents = self.networks.latents(inputs, content=content)
            stems.append(filled_at_random(latents.stem, content, generator))
            embeddings.append(latents.identity)
            patches.append([random_patches(maps, count, generator, content) for maps in self._drawn_from(deep)])
        self._fit_statistics(torch.cat(stems), torch.cat(embeddings))
        self._remember(patches)
        missing = [max(0, CANDIDATES - sum(map(len, parts))) for parts in zip(*patches, strict=True)]
        turns = self._harmless_turns(judged_by) if any(missing) else []
        if turns:
            patches += self._turned_patches(batches, turns, missing, generator)
            self._remember(patches)
        self.noise.fit([torch.cat(parts) for parts in list(zip(*patches, strict=True))[-4:]], generator)
        self._fit_units(judged_by)

    def _drawn_from(self, deep: list[Tensor]) -> list[Tensor]:
        """The maps that patches are drawn from: those of each memory, then those of each discriminator."""
        return [*deep, *self.noise.inputs(deep)]

    def _remember(self, patches: list[list[Tensor]]) -> None:
        """Fit each memory to its patches of all batches."""
        for memory, *parts in zip(self._memories, *patches, strict=False):
            memory.fit(torch.cat(parts))

    def _harmless_turns(self, held_out: list[Tensor]) -> list[Turn]:
        """Find in which ways held-out frames may be turned without looking unfamiliar to memories of upright ones."""
        if sum(map(len, held_out)) < _LEAST_COMPARED:
            return []
        batches = held_out[: -(-_COMPARED // len(held_out[0]))]
        shape = batches[0].shape
        upright = [self._compared(*self._turned_features(frames, None)) for frames in batches]
        self._fit_levels(upright)
        usual = self._most_and_mean(upright)
        possible = [turn for turn in Turn if turn.of(batches[0]).shape == shape]
        turned = ([self._compared(*self._turned_features(each, turn)) for each in batches] for turn in possible)
        told = [told_apart(usual, self._most_and_mean(each)) for each in turned]
        return [turn for turn, area in zip(possible, told, strict=True) if area <= _TOLD_APART]

    def _turned_patches(
        self, batches: list[Tensor], turns: list[Turn], missing: list[int], generator: torch.Generator
    ) -> list[list[Tensor]]:
        """Draw what memories miss from turned frames; where these would be many, each turn is of other frames."""
        height, width = batches[0].shape[2:]
        every = -(-sum(len(frames) for frames in batches) * len(turns) * height * width // _TURNED_PIXELS)
        chosen = [(turn, frames[index % every :: every]) for index, turn in enumerate(turns) for frames in batches]
        chosen = [(turn, frames) for turn, frames in chosen if len(frames) > 0]
        count = sum(len(frames) for _, frames in chosen)
        patches = []
        for turn, frames in chosen:
            deep, content = self._turned_features(self._relit(frames, generator), turn)
            draws = zip(self._drawn_from(deep), missing, strict=True)
            patches.append([random_patches(maps, count, generator, content, candidates) for maps, candidates in draws])
        return patches

    def _turned_features(self, frames: Tensor, turn: Turn | None) -> tuple[list[Tensor], Tensor | None]:
        """The maps that the memories see of turned frames, and which pixels of these count."""
        content = self.content(frames)
        if turn is not None:
            frames, content = turn.of(frames), None if content is None else turn.of(content)
        return self._deep_features(frames, content)[0], content

    def _compared(self, deep: list[Tensor], content: Tensor | None) -> Deep:
        """Compare maps with the memories, and let the discriminators judge them."""
        distances = [counted(memory(maps), content) for memory, maps in zip(self._memories, deep, strict=True)]
        return Deep(distances, self.noise(deep), content)

    def _fit_levels(self, held_out: Sequence[Deep]) -> None:
        means = [torch.stack([mean_of(maps, each.content) for maps in each.distances]) for each in held_out]
        self.familiar = torch.cat(means, 1).mean(1).clamp(min=1e-6)
        places = [
            at_counted_places(torch.cat(averaged(each.distances, self.familiar), 1), each.content) for each in held_out
        ]
        self.scatter = torch.cat(places).std(0, correction=0)
        peaks = torch.cat([self._fine(each).amax((1, 2, 3)) for each in held_out])
        self.fine_weight = 1.0 / peaks.median().clamp(min=1e-6)

    def _most_and_mean(self, seen: Sequence[Deep]) -> Tensor:
        """How unfamiliar frames of several batches are at their most unfamiliar places and as a whole, [N, 2]."""
        return torch.cat([torch.stack(self._unfamiliar(each)[:2], 1) for each in seen])

    def _fit_units(self, held_out: list[Tensor]) -> None:
        seen = [self._seen(frames) for frames in held_out]
        embeddings = torch.cat([each.identity for each in seen])
        self._fit_scales([each.squares for each in seen], embeddings)
        deep = [each.deep for each in seen]
        self._fit_levels(deep)
        contrast = neighbour_contrast(embeddings, self.remembered.float()).clamp(min=_LEAST_CONTRAST)
        classes = contrast**_CONTRAST_POWER
        self.noise.fit_units(torch.cat([at_counted_places(each.odds, each.content) for each in deep]), classes)
        self._fit_places(seen)
        self.medians, self.excesses = tail_of(torch.cat([self._evidence(each).branches for each in seen]))
        self.excesses[1] = self.excesses[1] / classes
        self.weights, self._has_weights = weights_for(max(held_out[0].shape[2:])), True

    def _fit_places(self, seen: Sequence[Seen]) -> None:
        """Fit the units of both maps that say how far off a place is."""
        hottest_places, rows = [], []
        for each in seen:
            content = each.deep.content
            heatmap, unfamiliar = counted(self._fused(*each.squares), content), self._unfamiliar(each.deep)[2]
            maps = torch.cat([at_places_of(unfamiliar, heatmap), counted(unfamiliar, content)], 1)
            hottest_places.append(torch.stack([heatmap.amax((1, 2, 3)), hottest(maps[:, 1:], _COMPARED_PART)], 1))
            rows.append(at_counted_places(maps, content))
        self.usual_hottest = torch.cat(hottest_places).median(0).values.clamp(min=1e-6)
        self.place_weights = torch.tensor([_HEAT_SHARE, 1.0]) / tail_of(torch.cat(rows))[1]

    def _shares(self, branches: Tensor, frames: Tensor) -> Tensor:
        weights = self.weights if self._has_weights else earlier_weights(len(self.medians), max(frames.shape[2:]))
        return weighted((branches - self.medians) / self.excesses, weights)

    def _seen(self, frames: Tensor) -> Seen:
        content = self.content(frames)
        deep, inputs = self._deep_features(frames, content)
        latents = self.networks.latents(inputs, content=content)
        return Seen(self._squared_maps(latents, content), latents.identity, self._compared(deep, content))

    def _evidence(self, seen: Seen) -> Evidence:
        content = seen.deep.content
        heatmap, identity = counted(self._fused(*seen.squares), content), self.identity_distance(seen.identity)
        most, whole, unfamiliar = self._unfamiliar(seen.deep)
        hot = self.factors.applied(heatmap)
        if len(self.medians) == len(EARLIER_BRANCHES):
            branches = [hot.amax((1, 2, 3)), identity, most, whole]
        else:
            first, second = at_places_of(unfamiliar, hot), counted(self.factors.applied(unfamiliar), content)
            far_off = self.place_weights[0] * first + self.place_weights[1] * second
            branches = [hottest(far_off, _PART), identity, whole]
        return Evidence(torch.stack(branches, 1), heatmap, unfamiliar, self._fine(seen.deep), content)

    def _joint_heatmap(self, evidence: Evidence) -> Tensor:
        """All maps at stride 4, each in units of the usual frame's hottest place, by the factors of their places."""
        size = evidence.heatmap.shape[-2:]
        coarse, fine = (
            functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
            for maps in (evidence.unfamiliar, evidence.fine)
        )
        unfamiliar = coarse / self.usual_hottest[1] + fine * self.fine_weight
        return self.factors.applied(evidence.heatmap / self.usual_hottest[0] + counted(unfamiliar, evidence.content))

    def _deep_features(self, frames: Tensor, content: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        """The maps that the memories see, in their order, and the standardised inputs of the first encoder."""
        plain, relative = self.networks.features(frames), self.networks.features(relative_to_itself(frames, content))
        deep = [*plain[1:], *relative[1:]]
        return deep, self.networks.standardised(plain)

    def _unfamiliar(self, seen: Deep) -> tuple[Tensor, Tensor, Tensor]:
        """How unfamiliar the most unfamiliar places are, all places, [N], and each, [N, 1, H/16, W/16]; 1 is usual."""
        noise = self.noise.combined(seen.odds)
        means = zip(averaged(seen.distances, self.familiar), self.scatter, strict=True)
        unfamiliar, deep = (self.noise.averaged_with(maps, scatter, noise) for maps, scatter in means)
        most = hottest(counted(self.factors.applied(unfamiliar), seen.content), _COMPARED_PART)
        return most, mean_of(self.factors.applied(deep, usual=1.0), seen.content), unfamiliar

    def _fine(self, seen: Deep) -> Tensor:
        """Mean distance to the memories at stride 8, [N, 1, H/8, W/8]; 1 is usual."""
        half = len(seen.distances) // 2
        return 0.5 * (seen.distances[0] / self.familiar[0] + seen.distances[half] / self.familiar[half])

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Bundles from before the discriminators have neither of these, and do without."""
        for name in ("scatter", "fine_weight"):
            state_dict.setdefault(f"{prefix}{name}", getattr(self, name))
        weights = state_dict.setdefault(f"{prefix}weights", torch.zeros_like(self.weights))
        self._has_weights = bool(weights.any())
        medians = state_dict[f"{prefix}medians"]
        if len(medians) == len(EARLIER_BRANCHES):
            self.medians, self.excesses = torch.zeros_like(medians), torch.ones_like(medians)
            state_dict.setdefault(f"{prefix}usual_hottest", medians[[0, 2]])
            state_dict.setdefault(f"{prefix}place_weights", self.place_weights)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @property
    def _memories(self) -> list[PatchMemory]:
        return [memory for memory in self.memories if isinstance(memory, PatchMemory)]


def most_turned(geometry: Geometry, trained_on: int, held_out: int) -> int:
    """The most frames that `fit` looks at to find the harmless turns, and to remember turned frames."""
    compared = (1 + len(Turn)) * min(held_out, _COMPARED)
    return compared + min(len(Turn) * trained_on, _TURNED_PIXELS // (geometry.height * geometry.width))
