"""Training of our own recipes: alternates steps of the first encoder alone with steps of all three networks."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Geometry, Normalisation
from engines.networks.latent_maps import FrameCrop, Latents, MapGenerator
from engines.networks.losses import anomaly_loss, identity_loss, restoration_loss
from engines.recipes.anomaly_batch import CROP_SIDE, AnomalyBatch, make_anomaly_batch, training_crop
from engines.recipes.augmentation import random_view
from engines.recipes.content import FrameMask, find_content
from engines.recipes.map_scorer import distances_from_origin, latent_distances
from engines.recipes.recipe import HeldOut, Learner
from engines.recipes.synthetic_anomalies import IntensityRange

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LEARNING_RATE, _BETAS, _WEIGHT_DECAY = 2e-3, (0.9, 0.99), 1e-2
_WARM_UP_STEPS, _FINAL_RATE_SHARE = 50, 0.01
_GRADIENT_NORM = 5.0
_RESTORATION_WEIGHT = 1.0

# Weights are averaged over about this many steps, fewer at the start.
_AVERAGED_STEPS = 500

# One step in this many trains all three networks; the others train the first encoder alone, at a third of the time. One
# run each of 100 seconds on one core, simulated plate, test AUROC: 0.82 with the first encoder alone in every step,
# 0.66 with all three in every step; one in four itself was not compared.
_ALL_NETWORKS_EVERY = 4

# In frames up to this many pixels a side, every step also trains the identity embedding; in larger ones, one of every
# (side / 64) steps of all three networks does: the identity of the whole part matters most in small frames.
_IDENTITY_SIDE = 64

# Weight of the identity loss in frames up to that side; 1 in larger ones. A weight of 3 instead of 1 gave AUROC of the
# identity distance alone 0.773 and 0.955 instead of 0.731 and 0.951, on letters from fonts (G the anomaly) and on the
# 8×8 digits of the UCI repository (9), 1,500 steps, one model each.
_IDENTITY_WEIGHT = 3.0

# Range of 16-bit frames: they may exceed the percentiles that are normalised to -1 … 1.
_RANGE_16_BIT = 1.25


class MapLearner(Learner):
    """One optimiser for all three networks; `networks` hold the averaged weights, which score."""

    networks: MapGenerator

    def __init__(self, networks: MapGenerator, geometry: Geometry) -> None:
        self.networks = networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trained: Any = copy.deepcopy(self.networks)
        self._optimiser: Any = torch.optim.AdamW(
            self._trained.parameters(), _LEARNING_RATE, betas=_BETAS, weight_decay=_WEIGHT_DECAY
        )
        self._range = 1.0 if geometry.bit_depth == 8 else _RANGE_16_BIT
        longest = min(CROP_SIDE, max(geometry.height, geometry.width))
        self._identity_every = max(1, round(longest / _IDENTITY_SIDE))
        self._small = longest <= _IDENTITY_SIDE
        self.may_end_early = not self._small
        self._identity_weight = _IDENTITY_WEIGHT if self._small else 1.0
        self._intensities: IntensityRange | None = None
        self._rng = np.random.default_rng(0)
        self._generator = torch.Generator()
        self._fabric: Any = None
        self._step = 0
        self._mask = FrameMask()
        self._padding: tuple[float, float] | None = None
        """Value of the padding and distance of two gray levels, normalised; None without padding."""

    def leave_out_padding(self, padding: int, normalisation: Normalisation) -> None:
        scale = 2.0 / (normalisation.high - normalisation.low)
        self._padding = (padding - normalisation.low) * scale - 1.0, scale

    def inspect_only(self, inspected: NDArray[np.bool_], fill: tuple[int, ...], normalisation: Normalisation) -> None:
        self._mask.use(inspected, fill, normalisation)

    def setup(self, fabric: Fabric) -> None:
        self._fabric = fabric
        self._trained, self._optimiser = fabric.setup(self._trained, self._optimiser)
        self._trained.mark_forward_method("embed_identity")
        self._trained.mark_forward_method("encode")
        self.networks.to(fabric.device).eval()
        # Fabric has seeded PyTorch; every process makes anomalies of its own.
        self._rng = np.random.default_rng((torch.initial_seed(), fabric.global_rank))
        self._generator.manual_seed(torch.initial_seed() + fabric.global_rank)

    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        intensities = self._measured(frames)
        self._schedule(progress)
        distinct, (batch, crop) = len(frames), self._batch(frames, intensities, progress, self._rng)
        self._trained.train()
        # Distributed training waits for a gradient of every weight, in every step.
        encoder_alone = self._fabric.world_size == 1 and self._step % _ALL_NETWORKS_EVERY != 0
        compute_losses = self._encoder_losses if encoder_alone else self._network_losses
        losses = compute_losses(batch, crop, distinct)
        total: Any = sum(losses.values())
        self._optimiser.zero_grad()
        self._fabric.backward(total)
        self._fabric.clip_gradients(self._trained, self._optimiser, max_norm=_GRADIENT_NORM)
        self._optimiser.step()
        self._step += 1
        self._average_weights()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    @torch.no_grad()
    def held_out(self, frames: Tensor) -> HeldOut:
        # The same crop and the same anomalies every time, so that losses of different states can be compared.
        rng = np.random.default_rng(1)
        batch, crop = self._batch(frames, self._measured(frames), 1.0, rng)
        with self._fabric.autocast():
            latents = self.networks.eval()(batch.anomalous, crop)
        loss = float(sum(self._latent_losses(latents, batch).values()))
        distances = latent_distances(latents)[0]
        visibility = _at_size_of(distances[:, None], batch.visibility)[:, 0]
        normal = visibility == 0
        counted = batch.counted_at(distances[:, None])
        if counted is not None:
            normal &= counted[:, 0] > 0
        return HeldOut(loss, distances[normal], distances[visibility == 1])

    def _batch(
        self, frames: Tensor, intensities: IntensityRange, progress: float, rng: np.random.Generator
    ) -> tuple[AnomalyBatch, FrameCrop]:
        """What is learned from good frames [N, C, H, W], and the crop of them that it shows."""
        if self._padding is None:
            frames, crop = training_crop(frames, progress, rng)
            return self._masked(make_anomaly_batch(frames, intensities, rng), crop), crop
        # Cropped and halved together; a pixel of a halved frame counts if all of its four do.
        both = torch.cat([frames, find_content(frames, *self._padding)], 1)
        both, crop = training_crop(both, progress, rng)
        frames, content = both[:, :-1], (both[:, -1:] == 1.0).float()
        batch = make_anomaly_batch(frames, intensities, rng, content).inspected(content, self._padding[0])
        return self._masked(batch, crop), crop

    def _masked(self, batch: AnomalyBatch, crop: FrameCrop) -> AnomalyBatch:
        if not self._mask.given:
            return batch
        mask = self._mask.to(batch.clean.device)
        return batch.inspected(mask.in_crop(crop, *batch.clean.shape[2:]), mask.fill())

    def _encoder_losses(self, batch: AnomalyBatch, crop: FrameCrop, distinct: int) -> dict[str, Tensor]:
        """Losses of the first encoder alone: good places at the origin of its maps, anomalous ones far from it.

        In small frames also the identity loss, of the `distinct` frames in the batch.
        """
        losses = _anomaly_losses(distances_from_origin(self._trained.encode(batch.anomalous, crop)), batch)
        return losses | self._view_losses(batch.clean[:distinct], crop) if self._small else losses

    def _network_losses(self, batch: AnomalyBatch, crop: FrameCrop, distinct: int) -> dict[str, Tensor]:
        """Losses of all three networks; in some steps identity losses too, of the `distinct` frames in the batch."""
        latents = self._trained(batch.anomalous, crop)
        losses = self._latent_losses(latents, batch)
        if self._step // _ALL_NETWORKS_EVERY % self._identity_every == 0:
            losses |= self._identity_losses(batch.clean[:distinct], crop)
        elif self._fabric.world_size > 1:
            losses["identity"] = 0.0 * (latents.identity.sum() + latents.reconstruction_identity.sum())
        return losses

    def _latent_losses(self, latents: Latents, batch: AnomalyBatch) -> dict[str, Tensor]:
        losses = _anomaly_losses(latent_distances(latents), batch)
        restorations = [
            restoration_loss(target, restored.float(), _at_size_of(target, batch.visibility), batch.counted_at(target))
            for target, restored in zip(self.networks.inputs(batch.clean), latents.reconstruction, strict=True)
        ]
        losses["contextual"] = _RESTORATION_WEIGHT * torch.stack(restorations).mean()
        return losses

    def _view_losses(self, clean: Tensor, crop: FrameCrop) -> dict[str, Tensor]:
        """Identity loss of the first encoder alone, between two views of every frame."""
        with _frozen_statistics(self._trained):
            first, second = self._trained.embed_identity(torch.cat(self._two_views(clean)), crop).chunk(2)
        return {"identity": self._identity_weight * identity_loss(first, second)}

    def _identity_losses(self, clean: Tensor, crop: FrameCrop) -> dict[str, Tensor]:
        """Identity loss between two views of every frame: one encoded, the other also reconstructed and encoded again.

        The first encoder learns to recognise its own frames long before reconstructions are good enough for the second,
        so both of its embeddings take part.
        """
        first, second = self._two_views(clean)
        with _frozen_statistics(self._trained):
            identity = self._trained.embed_identity(first, crop)
            latents = self._trained(second, crop)
        differences = [
            (restored.float() - target).abs().mean()
            for restored, target in zip(latents.reconstruction, self.networks.inputs(second), strict=True)
        ]
        return {
            "identity": self._identity_weight
            * (identity_loss(identity, latents.identity) + identity_loss(identity, latents.reconstruction_identity)),
            "views": torch.stack(differences).mean(),
        }

    def _two_views(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        std = self._measured(clean).std
        first, second = (random_view(clean, std, self._generator) for _ in range(2))
        return first, second

    def _measured(self, frames: Tensor) -> IntensityRange:
        """Mean and standard deviation of good frames, from the first batch: exact enough for a scale."""
        if self._intensities is None:
            scale = self._fabric.all_reduce(self.networks.measure(frames), reduce_op="mean")
            for networks in (self.networks, self._trained):
                networks.set_scale(scale)
            contrast = self._fabric.all_reduce(frames.std((0, 2, 3)).mean(), reduce_op="mean")
            self._intensities = IntensityRange(-self._range, self._range, max(float(contrast), 1e-3))
        return self._intensities

    def _schedule(self, progress: float) -> None:
        """Set the learning rate: linear warm-up, then a cosine."""
        warm_up = min(1.0, (self._step + 1) / _WARM_UP_STEPS)
        share = _FINAL_RATE_SHARE + (1.0 - _FINAL_RATE_SHARE) * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in self._optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * warm_up * share

    @torch.no_grad()
    def _average_weights(self) -> None:
        """Update the exponential moving average of the weights."""
        decay = min(1.0 - 1.0 / _AVERAGED_STEPS, self._step / (self._step + 20))
        averaged, trained = self.networks.state_dict(), self._trained.state_dict()
        for name, value in averaged.items():
            latest = trained[name]
            if "running" in name or not value.is_floating_point():
                value.copy_(latest)
            else:
                value.lerp_(latest, 1.0 - decay)


def _at_size_of(maps: Tensor, visibility: Tensor) -> Tensor:
    """The greatest visibility [N, 1, H, W] within each place of maps [N, C, h, w]."""
    return functional.adaptive_max_pool2d(visibility, maps.shape[-2:])


def _anomaly_losses(distances: list[Tensor], batch: AnomalyBatch) -> dict[str, Tensor]:
    return {
        f"anomaly/{4 << level}": anomaly_loss(distance, batch.visibility, batch.counted_at(distance[:, None]))
        for level, distance in enumerate(distances)
    }


@contextmanager
def _frozen_statistics(networks: nn.Module) -> Iterator[None]:
    """Keep views out of the running statistics of batch normalisation: those are to be of frames as on the line."""
    layers = [layer for layer in networks.modules() if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
