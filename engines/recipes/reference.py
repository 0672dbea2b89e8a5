"""The recipe `reference`: GANomaly as published (Akcay et al. 2018), for comparison.

Departures from the paper and its code, beyond those of `engines.networks.ganomaly`:

- inference in `eval()` mode; the published code leaves batch normalisation in training mode, so that a frame's score
  depends on the frames it is batched with, and shows results chosen by the test set's AUROC. Here held-out good frames
  decide;
- before that, batch normalisation gets the statistics of up to 256 training frames under the weights of the moment,
  since the running ones lag behind (measured in `engines.networks.ganomaly`);
- scores are not scaled to 0 … 1 over the test set, as a stream has no test set;
- several processes keep the batch-normalisation statistics of the first one;
- training ends with the time or the steps that were asked for, instead of after 15 epochs.

What is as published: networks, initialisation, losses and weights, Adam at 2e-4 with β 0.5 and 0.999, batches of 64,
the order of the two updates, and the discriminator that starts anew when its loss falls below 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from engines.bundles import Geometry, Normalisation
from engines.networks.ganomaly import FILTERS, LATENT, Discriminator, Generator, initialise, refresh_statistics
from engines.networks.losses import discriminator_loss, generator_loss
from engines.recipes.recipe import Learner, Option, Recipe
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
        self.judge = Discriminator(geometry.height, geometry.width, geometry.channels, filters)
        self.restarts = 0
        """How often the discriminator was initialised anew."""
        self._generator: Any = None
        self._discriminator: Any = None
        self._generator_adam: Any = None
        self._discriminator_adam: Any = None
        self._fabric: Any = None

    def setup(self, fabric: Fabric) -> None:
        self._fabric = fabric
        generator_adam = torch.optim.Adam(self.networks.parameters(), _LEARNING_RATE, betas=_BETAS)
        discriminator_adam = torch.optim.Adam(self.judge.parameters(), _LEARNING_RATE, betas=_BETAS)
        self._generator, self._generator_adam = fabric.setup(self.networks, generator_adam)
        self._discriminator, self._discriminator_adam = fabric.setup(self.judge, discriminator_adam)

    def step(self, frames: Tensor, progress: float) -> dict[str, float]:
        self._generator.train()
        self._discriminator.train()
        reconstruction, latent, latent_again = self._generator(frames)
        losses = self._update_generator(frames, reconstruction, (latent, latent_again))
        losses["discriminator"] = self._update_discriminator(frames, reconstruction.detach())
        return losses

    def refresh(self, batches: Iterable[Tensor]) -> None:
        with self._fabric.autocast():
            refresh_statistics(self.networks, batches)

    @torch.no_grad()
    def held_out_loss(self, frames: Tensor) -> float:
        self.networks.eval()
        self.judge.eval()
        with self._fabric.autocast():
            reconstruction, latent, latent_again = self.networks(frames)
            features = self.judge(frames)[1], self.judge(reconstruction)[1]
            loss = generator_loss(frames, reconstruction, (latent, latent_again), features).total
        return float(loss)

    def _update_generator(
        self, frames: Tensor, reconstruction: Tensor, latents: tuple[Tensor, Tensor]
    ) -> dict[str, float]:
        # The judge only looks on here: without gradients of its own, and past Fabric's wrapper, it takes part in no
        # reduction.
        self.judge.requires_grad_(False)
        with self._fabric.autocast():
            features = self.judge(frames)[1], self.judge(reconstruction)[1]
            loss = generator_loss(frames, reconstruction, latents, features)
        self._generator_adam.zero_grad()
        self._fabric.backward(loss.total)
        self._generator_adam.step()
        self.judge.requires_grad_(True)
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
        # The mean over all processes, so that they start anew together; their seeds are equal, so their weights are.
        value = float(self._fabric.all_reduce(loss.detach(), reduce_op="mean"))
        if value < _COLLAPSED:
            self.judge.apply(initialise)
            self.restarts += 1
        return value


class ReferenceRecipe(Recipe):
    """GANomaly as published."""

    name: ClassVar[str] = "reference"
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


RECIPE = ReferenceRecipe()
