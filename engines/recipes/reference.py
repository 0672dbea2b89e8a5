"""The recipe `reference`: GANomaly as published (Akcay et al. 2018), for comparison.

Differences from the paper and its code, beyond those of `engines.networks.ganomaly`:

- Inference is in `eval()` mode. The published code leaves batch normalisation in training mode, so that a frame's score
  depends on the rest of its batch, and reports results of the epoch with the best AUROC on the test set. Here held-out
  good frames choose the state.
- Before each validation, batch normalisation gets the statistics of up to 256 training frames under the current
  weights, since the running averages lag behind (measured in `engines.networks.ganomaly`).
- Scores are not scaled to 0 … 1 over the test set, since a stream has no test set.
- With several processes, the batch-normalisation statistics are those of the first one.
- Training ends after the given time or number of steps, instead of after 15 epochs.

As published: networks, initialisation, losses and their weights, Adam at 2e-4 with β 0.5 and 0.999, batches of 64, the
order of the two updates, and the discriminator that is initialised again when its loss falls below 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from engines.bundles import Geometry, Normalisation
from engines.networks.ganomaly import (
    FILTERS,
    LATENT,
    Discriminator,
    Generator,
    initialise_weights,
    recompute_batch_norm,
)
from engines.networks.losses import discriminator_loss, generator_loss
from engines.recipes.recipe import HeldOut, Learner, Option, Recipe
from engines.recipes.scorer import ReferenceScorer, Scorer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# Options of the published code.
_LEARNING_RATE, _BETAS = 2e-4, (0.5, 0.999)

# "If D loss is zero, then re-initialize netD" (published code).
_COLLAPSED = 1e-5


class ReferenceLearner(Learner):
    """Alternates one update of the generator and one of the discriminator."""

    networks: Generator

    def __init__(self, networks: Generator, geometry: Geometry, filters: int) -> None:
        self.networks = networks
        self.discriminator = Discriminator(geometry.height, geometry.width, geometry.channels, filters)
        self.restarts = 0
        """How often the discriminator was initialised again."""
        # The same two modules in Fabric's wrapper.
        self._generator: Any = None
        self._discriminator: Any = None
        self._generator_adam: Any = None
        self._discriminator_adam: Any = None
        self._fabric: Any = None

    def setup(self, fabric: Fabric) -> None:
        self._fabric = fabric
        generator_adam = torch.optim.Adam(self.networks.parameters(), _LEARNING_RATE, betas=_BETAS)
        discriminator_adam = torch.optim.Adam(self.discriminator.parameters(), _LEARNING_RATE, betas=_BETAS)
        self._generator, self._generator_adam = fabric.setup(self.networks, generator_adam)
        self._discriminator, self._discriminator_adam = fabric.setup(self.discriminator, discriminator_adam)

    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        self._generator.train()
        self._discriminator.train()
        reconstruction, latent, reconstruction_latent = self._generator(frames)
        losses = self._update_generator(frames, reconstruction, (latent, reconstruction_latent))
        losses["discriminator"] = self._update_discriminator(frames, reconstruction.detach())
        return losses

    def update_statistics(self, batches: Iterable[Tensor]) -> None:
        with self._fabric.autocast():
            recompute_batch_norm(self.networks, batches)

    @torch.no_grad()
    def held_out(self, frames: Tensor) -> HeldOut:
        self.networks.eval()
        self.discriminator.eval()
        with self._fabric.autocast():
            reconstruction, latent, reconstruction_latent = self.networks(frames)
            features = self.discriminator(frames)[1], self.discriminator(reconstruction)[1]
            loss = generator_loss(frames, reconstruction, (latent, reconstruction_latent), features).total
        return HeldOut(float(loss), torch.empty(0), torch.empty(0))

    def _update_generator(
        self, frames: Tensor, reconstruction: Tensor, latents: tuple[Tensor, Tensor]
    ) -> dict[str, float]:
        # The discriminator is frozen here. Without gradients, and called past Fabric's wrapper, it takes no part in the
        # reduction over processes.
        self.discriminator.requires_grad_(False)
        with self._fabric.autocast():
            features = self.discriminator(frames)[1], self.discriminator(reconstruction)[1]
            loss = generator_loss(frames, reconstruction, latents, features)
        self._generator_adam.zero_grad()
        self._fabric.backward(loss.total)
        self._generator_adam.step()
        self.discriminator.requires_grad_(True)
        return {
            "adversarial": float(loss.adversarial.detach()),
            "contextual": float(loss.contextual.detach()),
            "encoder": float(loss.encoder.detach()),
        }

    def _update_discriminator(self, frames: Tensor, reconstruction: Tensor) -> float:
        loss = discriminator_loss(self._discriminator(frames)[0], self._discriminator(reconstruction)[0])
        self._discriminator_adam.zero_grad()
        self._fabric.backward(loss)
        self._discriminator_adam.step()
        # The mean over all processes, so that all of them restart together; equal seeds give them equal weights.
        value = float(self._fabric.all_reduce(loss.detach(), reduce_op="mean"))
        if value < _COLLAPSED:
            self.discriminator.apply(initialise_weights)
            self.restarts += 1
        return value


class ReferenceRecipe(Recipe):
    """GANomaly as published."""

    name: ClassVar[str] = "reference"
    letterbox: ClassVar[bool] = False
    places: ClassVar[bool] = False
    score_kind: ClassVar[str] = "latent distance: mean squared difference of the two latent vectors (GANomaly 2018)"

    def batch_size(self, geometry: Geometry) -> int:
        return 64

    def networks(self, geometry: Geometry, **options: Option) -> Generator:
        latent, filters = int(options.get("latent", LATENT)), int(options.get("filters", FILTERS))
        return Generator(geometry.height, geometry.width, geometry.channels, latent, filters)

    def learner(self, networks: nn.Module, geometry: Geometry) -> ReferenceLearner:
        assert isinstance(networks, Generator)
        first_layer = next(networks.encoder1.parameters())
        return ReferenceLearner(networks, geometry, filters=len(first_layer))

    def scorer(self, networks: nn.Module, normalisation: Normalisation) -> Scorer:
        assert isinstance(networks, Generator)
        return ReferenceScorer(networks, normalisation)
