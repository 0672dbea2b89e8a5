"""The recipe `default`: GANomaly with latent maps, trained on good frames and on the damage that is done to them.

Departures from the paper's training (Akcay et al. 2018, section 3.2), beyond those of `engines.networks.latent_maps`:

- synthetic damage (`engines.recipes.damage`) is pasted into three frames of four; the decoder gives back the frame
  without it
  (the contextual loss, L1, as in the paper), and the distance between the two encoders' maps, the paper's encoder
  loss, is pulled down where the frame is sound and pushed up where it is damaged
  (`engines.networks.losses.damage_loss`);
- three steps of four train the first encoder alone, to keep good places at the origin of its maps and to put damaged
  ones far from it, which is where the second encoder, who sees frames without damage, has them too;
- no discriminator: its part, telling frames from drawings of frames, is taken by the identity loss. A frame is seen in
  two ways (`engines.recipes.views.views`), one goes to the first encoder, the other through all three networks, and
  both encoders must recognise the frame among those of the batch (`engines.networks.losses.identity_loss`);
- AdamW with a learning rate that falls along a cosine, weights averaged over the last steps, and good frames jittered
  a little.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Geometry, Normalisation
from engines.networks.latent_maps import MapGenerator, Window
from engines.networks.losses import damage_loss, identity_loss, restoration_loss
from engines.recipes.damage import Palette, damage
from engines.recipes.map_scorer import MapScorer, lengths, map_distances
from engines.recipes.recipe import Learner, Option, Recipe
from engines.recipes.views import jitter, views

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from engines.recipes.scorer import Scorer

_LEARNING_RATE, _BETAS, _WEIGHT_DECAY = 2e-3, (0.9, 0.99), 1e-2
_WARM_UP_STEPS, _LAST_RATE_SHARE = 50, 0.01
_GRADIENT_NORM = 5.0
_RESTORATION_WEIGHT = 1.0

# Weights are averaged over about so many steps, fewer in the beginning.
_AVERAGED_STEPS = 500

_DAMAGED_SHARE = 0.75

# How visible a change is, in standard deviations of good frames: below the first nothing is asked for, from the second
# on it counts fully. Tried on the first encoder alone, one run each of 100 seconds on the simulated plate: the highest
# good frame was 2.0 times the median (510 steps), 3.4 times when all that differs was asked for (811 steps).
_FAINT, _PLAIN = 0.1, 0.4
_TOUCHED = 0.02

# One step in so many trains all three networks; the others train the first encoder alone, at a third of the time. One
# run each of 100 seconds on one core, simulated plate, test AUROC: 0.82 with the first encoder alone in every step,
# 0.66 with all three in every step; one in four itself was not compared.
_WHOLE_EVERY = 4

# Share of the training in which large frames are halved, and the shorter side from which frames are large. On the
# simulated plate the first 100 steps took the damage loss at stride 8 to 1.21 halved and to 1.27 at full size.
_SMALL_UNTIL, _LEAST_HALVED = 0.4, 128

# Larger frames are learned from in windows of so many pixels a side, so that a step takes no longer; the encoders are
# told where on the frame the window lies. Offsets are multiples of the coarsest stride.
_WINDOW, _WINDOW_STEP = 256, 32

# Pixels a step learns from: as many frames as fit, between 8 and 64.
_PIXELS_A_STEP = 8 * 256 * 256

# Up to this many pixels a side every step also learns identities; above, only steps of all three networks do, one of
# them in (side / 64): what a part is matters most in small frames.
_IDENTITY_SIDE = 64

# How heavy identities are in frames up to that side; above they count once. Threefold in place of once: AUROC of the
# whole frame alone 0.773 and 0.955 for 0.731 and 0.951, on letters that fonts draw (G the anomaly) and on the 8×8
# digits of the UCI repository (9), 1,500 steps, one model each.
_IDENTITY_WEIGHT = 3.0

# What 16-bit frames may hold beyond the percentiles that are normalised to -1 … 1.
_BEYOND_16_BIT = 1.25


class MapLearner(Learner):
    """One optimiser for all three networks; `networks` are the averaged ones, those that score."""

    networks: MapGenerator

    def __init__(self, networks: MapGenerator, geometry: Geometry) -> None:
        self.networks = networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trained: Any = copy.deepcopy(self.networks)
        self._optimiser: Any = torch.optim.AdamW(
            self._trained.parameters(), _LEARNING_RATE, betas=_BETAS, weight_decay=_WEIGHT_DECAY
        )
        self._limit = 1.0 if geometry.bit_depth == 8 else _BEYOND_16_BIT
        longest = min(_WINDOW, max(geometry.height, geometry.width))
        self._identity_every = max(1, round(longest / _IDENTITY_SIDE))
        self._always_identity = longest <= _IDENTITY_SIDE
        self._identity_weight = _IDENTITY_WEIGHT if self._always_identity else 1.0
        self._palette: Palette | None = None
        self._rng = np.random.default_rng(0)
        self._generator = torch.Generator()
        self._fabric: Any = None
        self._step = 0

    def setup(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._trained, self._optimiser = fabric.setup(self._trained, self._optimiser)
        self._trained.mark_forward_method("identify")
        self._trained.mark_forward_method("encode")
        self.networks.to(fabric.device).eval()
        # Fabric has seeded PyTorch; every process damages its own frames in its own way.
        self._rng = np.random.default_rng((torch.initial_seed(), fabric.global_rank))
        self._generator.manual_seed(torch.initial_seed() + fabric.global_rank)

    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        palette = self._measured(frames)
        self._schedule(progress)
        distinct, (frames, window) = len(frames), _part(frames, progress, self._rng)
        clean, damaged, where = self._lesson(frames, palette, self._rng)
        self._trained.train()
        # Distributed training waits for a gradient of every weight, in every step.
        alone = self._fabric.world_size == 1 and self._step % _WHOLE_EVERY != 0
        lesson = clean, damaged, where
        learn = self._encoder_losses if alone else self._whole_losses
        losses = learn(lesson, window, distinct)
        total: Any = sum(losses.values())
        self._optimiser.zero_grad()
        self._fabric.backward(total)
        self._fabric.clip_gradients(self._trained, self._optimiser, max_norm=_GRADIENT_NORM)
        self._optimiser.step()
        self._step += 1
        self._average()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _encoder_losses(
        self, lesson: tuple[Tensor, Tensor, Tensor], window: Window, distinct: int
    ) -> dict[str, Tensor]:
        """The first encoder keeps good places at the origin and puts damaged ones far from it."""
        clean, damaged, where = lesson
        losses = _damage_losses(lengths(self._trained.encode(damaged, window)), where)
        return losses | self._view_losses(clean[:distinct], window) if self._always_identity else losses

    def _whole_losses(self, lesson: tuple[Tensor, Tensor, Tensor], window: Window, distinct: int) -> dict[str, Tensor]:
        """All three networks; every so often identities too, of the `distinct` frames among them."""
        clean, damaged, where = lesson
        latents = self._trained(damaged, window)
        losses = self._losses(latents, clean, where)
        if self._step // _WHOLE_EVERY % self._identity_every == 0:
            losses |= self._identity_losses(clean[:distinct], window)
        elif self._fabric.world_size > 1:
            losses["identity"] = 0.0 * (latents.identity.sum() + latents.identity_again.sum())
        return losses

    @torch.no_grad()
    def held_out_loss(self, frames: Tensor) -> float:
        # The same window and damage every time, so that states are compared on the same question.
        rng = np.random.default_rng(1)
        palette, (frames, window) = self._measured(frames), _part(frames, 1.0, rng)
        clean, damaged, where = self._lesson(frames, palette, rng)
        with self._fabric.autocast():
            latents = self.networks.eval()(damaged, window)
        return float(sum(self._losses(latents, clean, where).values()))

    def _losses(self, latents: Any, clean: Tensor, where: Tensor) -> dict[str, Tensor]:
        target = self.networks.standardise(clean)
        losses = _damage_losses(map_distances(latents), where)
        losses["contextual"] = _RESTORATION_WEIGHT * restoration_loss(target, latents.reconstruction.float(), where)
        return losses

    def _view_losses(self, clean: Tensor, window: Window) -> dict[str, Tensor]:
        """Two views of every frame through the first encoder alone, which must recognise one by the other."""
        with _statistics_kept(self._trained):
            first, second = self._trained.identify(torch.cat(self._two_views(clean)), window).chunk(2)
        return {"identity": self._identity_weight * identity_loss(first, second)}

    def _identity_losses(self, clean: Tensor, window: Window) -> dict[str, Tensor]:
        """Two views of every frame: one through the first encoder alone, one drawn by the decoder for the second."""
        seen = self._two_views(clean)
        with _statistics_kept(self._trained):
            identity = self._trained.identify(seen[0], window)
            drawn = self._trained(seen[1], window)
        target = self.networks.standardise(seen[1])
        return {
            # The first encoder recognises its own frames long before the decoder draws what the second could recognise.
            "identity": self._identity_weight
            * (identity_loss(identity, drawn.identity) + identity_loss(identity, drawn.identity_again)),
            "views": (drawn.reconstruction.float() - target).abs().mean(),
        }

    def _two_views(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        spread = self._measured(clean).spread
        first, second = (views(clean, spread, self._generator) for _ in range(2))
        return first, second

    def _measured(self, frames: Tensor) -> Palette:
        """What good frames look like, taken from the first batch: enough for a scale."""
        if self._palette is None:
            own = frames.mean((0, 2, 3), keepdim=True), frames.std((0, 2, 3), keepdim=True)
            centre, spread = (self._fabric.all_reduce(value, reduce_op="mean") for value in own)
            spread = spread.clamp(min=1e-3)
            for networks in (self.networks, self._trained):
                networks.centre.copy_(centre)
                networks.spread.copy_(spread)
            self._palette = Palette(-self._limit, self._limit, float(spread.mean()))
        return self._palette

    def _lesson(self, frames: Tensor, palette: Palette, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Good frames [N, C, H, W] → (jittered, the same with damage, how visible it is where [N, 1, H, W])."""
        good = frames.permute(0, 2, 3, 1).cpu().numpy()
        clean = [jitter(rng, frame, palette) for frame in good]
        damaged = list(clean)
        for index in np.flatnonzero(rng.random(len(good)) < _DAMAGED_SHARE):
            donor = clean[int(rng.integers(len(clean)))]
            damaged[index], _ = damage(rng, clean[index], donor, palette)
        sound, changed = _batch(clean, frames.device), _batch(damaged, frames.device)
        return sound, changed, _visibility((changed - sound).abs().amax(1, keepdim=True) / palette.spread)

    def _schedule(self, progress: float) -> None:
        warm = min(1.0, (self._step + 1) / _WARM_UP_STEPS)
        share = _LAST_RATE_SHARE + (1.0 - _LAST_RATE_SHARE) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in self._optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * warm * share

    @torch.no_grad()
    def _average(self) -> None:
        kept = min(1.0 - 1.0 / _AVERAGED_STEPS, self._step / (self._step + 20))
        averaged, trained = self.networks.state_dict(), self._trained.state_dict()
        for name, value in averaged.items():
            latest = trained[name]
            if "running" in name or not value.is_floating_point():
                value.copy_(latest)
            else:
                value.lerp_(latest, 1.0 - kept)


def _damage_losses(distances: list[Tensor], where: Tensor) -> dict[str, Tensor]:
    return {f"damage/{4 << level}": damage_loss(distance, where) for level, distance in enumerate(distances)}


def _visibility(change: Tensor) -> Tensor:
    """How much is asked of a change by so many standard deviations: 0 where there is none, then 0.001 to 1."""
    asked = ((change - _FAINT) / (_PLAIN - _FAINT)).clamp(1e-3, 1.0)
    return torch.where(change > _TOUCHED, asked, torch.zeros_like(asked))


class DefaultRecipe(Recipe):
    """GANomaly with latent maps and synthetic damage."""

    name: ClassVar[str] = "default"
    score_kind: ClassVar[str] = "latent distance: hottest place of the two encoders' maps, or nearest good frame"

    def batch_size(self, geometry: Geometry) -> int:
        return min(64, max(8, _PIXELS_A_STEP // (geometry.height * geometry.width)))

    def networks(self, geometry: Geometry, **options: Option) -> MapGenerator:
        return MapGenerator(geometry.channels)

    def learner(self, networks: nn.Module, geometry: Geometry) -> MapLearner:
        assert isinstance(networks, MapGenerator)
        return MapLearner(networks, geometry)

    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> MapScorer:
        assert isinstance(networks, MapGenerator)
        return MapScorer(networks, normalisation)

    def settle(self, scorer: Scorer, learned: Iterable[Tensor], held_out: Iterable[Tensor]) -> None:
        assert isinstance(scorer, MapScorer)
        scorer.settle(learned, held_out)


def _part(frames: Tensor, progress: float, rng: np.random.Generator) -> tuple[Tensor, Window]:
    """What a step learns from: frames [N, C, H, W] halved for `_SMALL_UNTIL` of the time, and a window of large ones.

    What damage looks like is learned sooner from many small frames; what it looks like at full size, from large ones.
    Every frame is taken as often as makes up for the pixels that it lost.
    """
    pixels = min(frames.numel() // frames.shape[1], _PIXELS_A_STEP)
    if progress < _SMALL_UNTIL and min(frames.shape[-2:]) >= _LEAST_HALVED:
        frames = functional.avg_pool2d(frames, 2)
    height, width = frames.shape[-2:]
    high, wide = min(height, _WINDOW), min(width, _WINDOW)
    top, left = (
        _WINDOW_STEP * int(rng.integers((whole - part) // _WINDOW_STEP + 1)) if whole > part else 0
        for whole, part in ((height, high), (width, wide))
    )
    seen = frames[:, :, top : top + high, left : left + wide]
    times = max(1, pixels // (len(seen) * high * wide)) if progress < _SMALL_UNTIL else 1
    return seen.repeat(times, 1, 1, 1), Window(top / height, left / width, high / height, wide / width)


@contextmanager
def _statistics_kept(networks: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch normalisation to frames as the line shows them."""
    layers = [layer for layer in networks.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def _batch(frames: list[Any], device: torch.device) -> Tensor:
    """Frames [H, W, C] → [N, C, H, W] on the device, in the layout that convolutions are quickest in."""
    stacked = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2))
    return stacked.to(device).contiguous(memory_format=torch.channels_last)


RECIPE = DefaultRecipe()
