"""AnoGAN: search the latent space of a GAN for the frame; what the GAN cannot generate is anomalous.

Schlegl et al., "Unsupervised anomaly detection with generative adversarial networks to guide marker discovery" (IPMI
2017). A DCGAN (Radford et al., ICLR 2016) with 512-256-128-64 filters learns to generate good frames. A frame is scored
by 500 gradient steps on z (section 2.2), each on the loss

    (1 − λ) · Σ|x − G(z)| + λ · Σ|f(x) − f(G(z))|,   λ = 0.1,

where f are the features before the discriminator's last layer (equations 3 to 5). The loss at the last step is the
score (equation 6); |x − G(z)|, mean over the channels, is the heatmap. The search is not shortened, however long it
takes.

Differences from the paper:

- The paper does not name the optimiser of z: Adam at 0.01 here.
- Each frame's first z is drawn with a seed computed from its own pixels, so that scores are reproducible and do not
  depend on the rest of the batch.
- Batch normalisation gets the statistics of the final weights before inference, which is in `eval()` mode.
- Batches of 64, and as many steps as the limits allow; the paper takes 20 epochs of a million patches.
- At sizes other than 64 px the pyramid of `engines.networks.ganomaly` has more or fewer levels.
"""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.steps import device, freeze, run_steps, statistics_batches
from engines.bundles import Frames
from engines.networks.ganomaly import FILTERS, LATENT, Decoder, Discriminator, initialise_weights, recompute_batch_norm
from engines.networks.losses import discriminator_loss
from engines.progress import Progress

SEARCH_STEPS = 500
"""Gradient steps for one frame (section 3)."""
DISCRIMINATION_WEIGHT = 0.1
"""λ, weight of the discrimination loss (section 3)."""

_SEARCH_RATE = 0.01

# DCGAN, section 3.
_LEARNING_RATE, _BETAS = 2e-4, (0.5, 0.999)
_BATCH = 64


class AnoGan(Baseline):
    """DCGAN, and a search of its latent space for every frame."""

    name: ClassVar[str] = "anogan"
    title: ClassVar[str] = "AnoGAN"
    paper: ClassVar[str] = "Schlegl et al. 2017"

    def __init__(self, *, filters: int = FILTERS, search_steps: int = SEARCH_STEPS) -> None:
        super().__init__()
        self._filters = filters
        self._search_steps = search_steps
        self._seed = 0
        self._generator: Decoder | None = None
        self._discriminator: Discriminator | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        height, width, channels = frames.shape[1:]
        generator = Decoder(height, width, channels, LATENT, self._filters).apply(initialise_weights).to(device())
        discriminator = Discriminator(height, width, channels, self._filters).to(device())
        step = _Gan(generator, discriminator).step
        run_steps(frames, self.normalisation, step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        recompute_batch_norm(generator, (random_latents(_BATCH) for _ in range(4)))
        recompute_batch_norm(discriminator, statistics_batches(frames, self.normalisation, _BATCH))
        freeze(generator, discriminator)
        self._generator, self._discriminator, self._seed = generator, discriminator, seed

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        loss, generated, _ = self.search(frames)
        heatmap = (self.normalised(frames) - generated).abs().mean(1)
        return loss.numpy(), heatmap.numpy()

    def search(self, frames: Frames) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        """Search the latent space for frames [N, H, W, C].

        Returns the final loss [N], the generated frames [N, C, H, W], and the mean residual Σ|x − G(z)| at each step
        [search steps + 1].
        """
        assert self._discriminator is not None
        values = self.normalised(frames).to(device())
        features = self._discriminator.features(values)
        z = self._initial_latents(frames).to(device()).requires_grad_()
        adam = torch.optim.Adam([z], _SEARCH_RATE)
        residuals = []
        for _ in range(self._search_steps):
            residual, discrimination, _ = self._losses(values, features, z)
            adam.zero_grad()
            _weighted(residual, discrimination).sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            residuals.append(float(residual.detach().mean()))
        with torch.no_grad():
            residual, discrimination, generated = self._losses(values, features, z)
        residuals.append(float(residual.mean()))
        return _weighted(residual, discrimination).cpu(), generated.cpu(), np.array(residuals)

    def _losses(self, values: Tensor, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residual loss [N], discrimination loss [N] and the generated frames [N, C, H, W]."""
        assert self._generator is not None
        assert self._discriminator is not None
        generated = self._generator(z)
        residual = (values - generated).abs().flatten(1).sum(1)
        discrimination = (features - self._discriminator.features(generated)).abs().flatten(1).sum(1)
        return residual, discrimination, generated

    def _initial_latents(self, frames: Frames) -> Tensor:
        seeds = (zlib.crc32(np.ascontiguousarray(frame).tobytes(), self._seed) for frame in frames)
        return torch.cat([random_latents(1, torch.Generator().manual_seed(seed)) for seed in seeds])


def _weighted(residual: Tensor, discrimination: Tensor) -> Tensor:
    return (1 - DISCRIMINATION_WEIGHT) * residual + DISCRIMINATION_WEIGHT * discrimination


class _Gan:
    """Generator and discriminator with their optimisers."""

    def __init__(self, generator: Decoder, discriminator: Discriminator) -> None:
        self._generator, self._discriminator = generator, discriminator
        self._generator_adam = torch.optim.Adam(generator.parameters(), _LEARNING_RATE, betas=_BETAS)
        self._discriminator_adam = torch.optim.Adam(discriminator.parameters(), _LEARNING_RATE, betas=_BETAS)

    def step(self, real: Tensor) -> None:
        """One update of each, the discriminator first."""
        generated = self._generator(random_latents(len(real)).to(real.device))
        self._discriminator_adam.zero_grad()
        loss = discriminator_loss(self._discriminator(real)[0], self._discriminator(generated.detach())[0])
        loss.backward()  # type: ignore[no-untyped-call]
        self._discriminator_adam.step()
        self._generator_adam.zero_grad()
        probability = self._discriminator(generated)[0]
        functional.binary_cross_entropy(probability, torch.ones_like(probability)).backward()  # type: ignore[no-untyped-call]
        self._generator_adam.step()


def random_latents(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw z [count, 100, 1, 1], uniform in -1 … 1 (DCGAN, section 4)."""
    return torch.rand(count, LATENT, 1, 1, generator=generator) * 2 - 1
