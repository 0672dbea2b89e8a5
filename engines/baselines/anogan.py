"""AnoGAN: search the latent space of a GAN for the frame; what the GAN cannot draw is suspicious.

Schlegl et al., "Unsupervised anomaly detection with generative adversarial networks to guide marker discovery" (IPMI
2017). A DCGAN (Radford et al., ICLR 2016) with 512-256-128-64 filters learns to draw good frames. A frame is scored by
500 gradient steps on z (section 2.2), each on the loss

    (1 − λ) · Σ|x − G(z)| + λ · Σ|f(x) − f(G(z))|,   λ = 0.1,

f being the features before the discriminator's last layer (equations 3 to 5). The loss at the last step is the score
(equation 6), |x − G(z)|, mean over the channels, the heatmap. Nothing is shortened, however long it takes.

Departures:

- the paper does not name the optimiser of z: Adam at 0.01 here;
- each frame's first z is drawn with a seed made of its own pixels, so that a score can be repeated and does not depend
  on the frames it is batched with;
- batch normalisation gets the statistics of the final weights before inference, which is in `eval()` mode;
- batches of 64, and as many steps as the budget allows, where the paper takes 20 epochs of a million patches;
- at other sizes than 64 px the pyramid of `engines.networks.ganomaly` is as many levels higher or lower.
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
from engines.baselines.steps import device, learn, ready, some_batches
from engines.bundles import Frames
from engines.networks.ganomaly import FILTERS, LATENT, Decoder, Discriminator, initialise, refresh_statistics
from engines.networks.losses import discriminator_loss
from engines.progress import Progress

STEPS = 500
"""Gradient steps for one frame (section 3)."""
WEIGHT = 0.1
"""λ, share of the discrimination loss (section 3)."""

_SEARCH_RATE = 0.01

# DCGAN, section 3.
_LEARNING_RATE, _BETAS = 2e-4, (0.5, 0.999)
_BATCH = 64


class AnoGan(Baseline):
    """DCGAN and a search for every frame."""

    name: ClassVar[str] = "anogan"
    title: ClassVar[str] = "AnoGAN"
    paper: ClassVar[str] = "Schlegl et al. 2017"

    def __init__(self, *, filters: int = FILTERS, search_steps: int = STEPS) -> None:
        super().__init__()
        self._filters = filters
        self._search_steps = search_steps
        self._seed = 0
        self._generator: Decoder | None = None
        self._judge: Discriminator | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        height, width, channels = frames.shape[1:]
        generator = Decoder(height, width, channels, LATENT, self._filters).apply(initialise).to(device())
        judge = Discriminator(height, width, channels, self._filters).to(device())
        step = _Gan(generator, judge).step
        learn(frames, self.normalisation, step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        refresh_statistics(generator, (latent(_BATCH) for _ in range(4)))
        refresh_statistics(judge, some_batches(frames, self.normalisation, _BATCH))
        ready(generator, judge)
        self._generator, self._judge, self._seed = generator, judge, seed

    def _score(self, frames: Frames) -> tuple[Any, Any]:
        loss, drawn, _ = self.search(frames)
        heat = (self.normalised(frames) - drawn).abs().mean(1)
        return loss.numpy(), heat.numpy()

    def search(self, frames: Frames) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        """Look for frames [N, H, W, C] in the latent space: (final loss [N], what is drawn then [N, C, H, W], mean
        residual Σ|x − G(z)| at each step [search steps + 1])."""
        assert self._judge is not None
        values = self.normalised(frames).to(device())
        features = self._judge.features(values)
        z = self._first(frames).to(device()).requires_grad_()
        adam = torch.optim.Adam([z], _SEARCH_RATE)
        residuals = []
        for _ in range(self._search_steps):
            residual, discrimination, _ = self._losses(values, features, z)
            adam.zero_grad()
            ((1 - WEIGHT) * residual + WEIGHT * discrimination).sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            residuals.append(float(residual.detach().mean()))
        with torch.no_grad():
            residual, discrimination, drawn = self._losses(values, features, z)
        residuals.append(float(residual.mean()))
        loss = (1 - WEIGHT) * residual + WEIGHT * discrimination
        return loss.cpu(), drawn.cpu(), np.array(residuals)

    def _losses(self, values: Tensor, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Residual loss [N], discrimination loss [N] and what is drawn [N, C, H, W]."""
        assert self._generator is not None
        assert self._judge is not None
        drawn = self._generator(z)
        residual = (values - drawn).abs().flatten(1).sum(1)
        discrimination = (features - self._judge.features(drawn)).abs().flatten(1).sum(1)
        return residual, discrimination, drawn

    def _first(self, frames: Frames) -> Tensor:
        seeds = (zlib.crc32(np.ascontiguousarray(frame).tobytes(), self._seed) for frame in frames)
        return torch.cat([latent(1, torch.Generator().manual_seed(seed)) for seed in seeds])


class _Gan:
    """The two players and their optimisers."""

    def __init__(self, generator: Decoder, judge: Discriminator) -> None:
        self._generator, self._judge = generator, judge
        self._generator_adam = torch.optim.Adam(generator.parameters(), _LEARNING_RATE, betas=_BETAS)
        self._judge_adam = torch.optim.Adam(judge.parameters(), _LEARNING_RATE, betas=_BETAS)

    def step(self, real: Tensor) -> None:
        """One update of each, the discriminator first."""
        drawn = self._generator(latent(len(real)).to(real.device))
        self._judge_adam.zero_grad()
        discriminator_loss(self._judge(real)[0], self._judge(drawn.detach())[0]).backward()  # type: ignore[no-untyped-call]
        self._judge_adam.step()
        self._generator_adam.zero_grad()
        verdict = self._judge(drawn)[0]
        functional.binary_cross_entropy(verdict, torch.ones_like(verdict)).backward()  # type: ignore[no-untyped-call]
        self._generator_adam.step()


def latent(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw z [count, 100, 1, 1], uniform in -1 … 1 (DCGAN, section 4)."""
    return torch.rand(count, LATENT, 1, 1, generator=generator) * 2 - 1
