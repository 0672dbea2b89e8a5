"""EGBAD: a BiGAN learns to generate good frames and to encode them at once, so that no search is needed.

Zenati et al., "Efficient GAN-based anomaly detection" (2018, arXiv:1802.06222); networks and training as in the
appendix's table for MNIST and the authors' code: encoder E, generator G and a discriminator D that distinguishes
pairs (x, E(x)) from (G(z), z); z is normal with 200 values; Adam with β₁ 0.5; averaged weights for inference (decay
0.999). The score is

    0.9 · Σ|x − G(E(x))| + 0.1 · Σ|f(x, E(x)) − f(G(E(x)), E(x))|,

where f are the features before D's last layer (section 3, feature matching). The heatmap is |x − G(E(x))|, mean over
the channels.

Differences from the paper:

- The paper's frames are 28×28 and halved twice, to 7×7. Here they are halved until 8 pixels or fewer remain, with the
  last number of filters repeated.
- Learning rate 2e-4, that of the BiGAN paper (Donahue et al., ICLR 2017), since EGBAD's 1e-5 needs its 54,000 steps.
  The averages start as plain means, so that the initial weights have no influence even after few steps.
- Batch normalisation gets the statistics of the final weights before inference.
- Batches of 64 (100 in the paper), and as many steps as the limits allow.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.steps import device, freeze, run_steps, statistics_batches
from engines.bundles import Frames
from engines.networks.ganomaly import check_size, recompute_batch_norm
from engines.progress import Progress

RESIDUAL_WEIGHT = 0.9
"""α, weight of the residual in the score."""

_LATENT = 200
_LEARNING_RATE, _BETAS = 2e-4, (0.5, 0.999)
_AVERAGE_DECAY = 0.999
_SLOPE = 0.1
_DROPOUT = 0.5
_BATCH = 64
# Side, in pixels, down to which frames are halved.
_SMALLEST = 8


class Bigan(nn.Module):
    """Encoder, generator and discriminator."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        check_size(height, width)
        halvings = _halvings(height, width)
        small = (height >> halvings, width >> halvings)
        self.encoder = _encoder(channels, halvings, small)
        self.generator = _generator(channels, halvings, small)
        self.discriminator = _PairDiscriminator(channels, halvings, small)
        self.apply(_initialise)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] → (G(E(x)) [N, C, H, W], E(x) [N, 200])."""
        code = self.encoder(frames)
        return self.generator(code), code


class _PairDiscriminator(nn.Module):
    """Classifies pairs of frame and code as encoded or generated: logits, and the features before them."""

    def __init__(self, channels: int, halvings: int, small: tuple[int, int]) -> None:
        super().__init__()
        self.frames = nn.Sequential(nn.Conv2d(channels, 64, 4, 2, 1), nn.LeakyReLU(_SLOPE), nn.Dropout(_DROPOUT))
        for _ in range(halvings - 1):
            self.frames.extend(
                [nn.Conv2d(64, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.LeakyReLU(_SLOPE), nn.Dropout(_DROPOUT)]
            )
        self.codes = nn.Sequential(nn.Linear(_LATENT, 512), nn.LeakyReLU(_SLOPE), nn.Dropout(_DROPOUT))
        length = 64 * small[0] * small[1] + 512
        self.both = nn.Sequential(nn.Linear(length, 1024), nn.LeakyReLU(_SLOPE), nn.Dropout(_DROPOUT))
        self.last = nn.Linear(1024, 1)

    def forward(self, frames: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        features = self.both(torch.cat([self.frames(frames).flatten(1), self.codes(codes)], 1))
        return self.last(features).flatten(), features


class Egbad(Baseline):
    """BiGAN with feature matching."""

    name: ClassVar[str] = "egbad"
    title: ClassVar[str] = "EGBAD"
    paper: ClassVar[str] = "Zenati et al. 2018"

    def __init__(self) -> None:
        super().__init__()
        self._bigan: Bigan | None = None

    def _fit(self, frames: Frames, seed: int, limits: Limits, progress: Progress) -> None:
        height, width, channels = frames.shape[1:]
        training = _BiganTraining(Bigan(height, width, channels).to(device()))
        run_steps(frames, self.normalisation, training.step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        bigan = training.averaged
        recompute_batch_norm(_AllNetworks(bigan), statistics_batches(frames, self.normalisation, _BATCH))
        freeze(bigan)
        self._bigan = bigan

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._bigan is not None
        values = self.normalised(frames).to(device())
        reconstruction, code = self._bigan(values)
        residual = (values - reconstruction).abs()
        features, reconstruction_features = (
            self._bigan.discriminator(frames, code)[1] for frames in (values, reconstruction)
        )
        matching = (features - reconstruction_features).abs().sum(1)
        score = RESIDUAL_WEIGHT * residual.flatten(1).sum(1) + (1 - RESIDUAL_WEIGHT) * matching
        return score.cpu().numpy(), residual.mean(1).cpu().numpy()


class _AllNetworks(nn.Module):
    """Runs all three networks on frames, so that every batch normalisation gets statistics."""

    def __init__(self, bigan: Bigan) -> None:
        super().__init__()
        self.bigan = bigan

    def forward(self, frames: Tensor) -> Tensor:
        reconstruction, code = self.bigan(frames)
        logits: Tensor = self.bigan.discriminator(torch.cat([frames, reconstruction]), torch.cat([code, code]))[0]
        return logits


class _BiganTraining:
    """The networks, their optimisers and the averages of their weights."""

    def __init__(self, bigan: Bigan) -> None:
        self._bigan = bigan
        self.averaged = copy.deepcopy(bigan)
        self._steps = 0
        parameters = [*bigan.encoder.parameters(), *bigan.generator.parameters()]
        self._adam = torch.optim.Adam(parameters, _LEARNING_RATE, betas=_BETAS)
        self._discriminator_adam = torch.optim.Adam(bigan.discriminator.parameters(), _LEARNING_RATE, betas=_BETAS)

    def step(self, frames: Tensor) -> None:
        """One update of the discriminator, then one of encoder and generator."""
        z = torch.randn(len(frames), _LATENT, device=frames.device)
        generated, code = self._bigan.generator(z), self._bigan.encoder(frames)
        loss = self._loss((frames, code.detach()), (generated.detach(), z), swapped=False)
        self._update(self._discriminator_adam, loss)
        self._update(self._adam, self._loss((frames, code), (generated, z), swapped=True))
        self._average()

    def _loss(self, encoded: tuple[Tensor, Tensor], generated: tuple[Tensor, Tensor], *, swapped: bool) -> Tensor:
        """Cross-entropy of classifying encoded and generated pairs; with swapped labels to fool the discriminator."""
        on_encoded, on_generated = self._bigan.discriminator(*encoded)[0], self._bigan.discriminator(*generated)[0]
        label = torch.full_like(on_encoded, 0.0 if swapped else 1.0)
        cross_entropy = functional.binary_cross_entropy_with_logits
        return cross_entropy(on_encoded, label) + cross_entropy(on_generated, 1 - label)

    def _update(self, adam: torch.optim.Adam, loss: Tensor) -> None:
        self._bigan.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(_AVERAGE_DECAY, self._steps / (self._steps + 1))
        self._steps += 1
        for mean, value in zip(self.averaged.parameters(), self._bigan.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def _halvings(height: int, width: int) -> int:
    """How often a frame is halved until 8 pixels or fewer remain, as long as both sides are even; at least twice."""
    times = 2
    while min(height, width) >> times > _SMALLEST and not (height >> times) % 2 and not (width >> times) % 2:
        times += 1
    return times


def _encoder(channels: int, halvings: int, small: tuple[int, int]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(channels, 32, 3, 1, 1)]
    before = 32
    for index in range(halvings):
        filters = 64 if index == 0 else 128
        layers += [nn.Conv2d(before, filters, 3, 2, 1), nn.BatchNorm2d(filters), nn.LeakyReLU(_SLOPE)]
        before = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * small[0] * small[1], _LATENT))


def _generator(channels: int, halvings: int, small: tuple[int, int]) -> nn.Sequential:
    length = 128 * small[0] * small[1]
    layers: list[nn.Module] = [nn.Linear(_LATENT, 1024), nn.BatchNorm1d(1024), nn.ReLU()]
    layers += [nn.Linear(1024, length), nn.BatchNorm1d(length), nn.ReLU(), nn.Unflatten(1, (128, *small))]
    before = 128
    for index in range(halvings - 1):
        filters = 64 if index == halvings - 2 else 128
        layers += [nn.ConvTranspose2d(before, filters, 4, 2, 1), nn.BatchNorm2d(filters), nn.ReLU()]
        before = filters
    return nn.Sequential(*layers, nn.ConvTranspose2d(before, channels, 4, 2, 1), nn.Tanh())


def _initialise(module: nn.Module) -> None:
    """Draw weights from N(0, 0.02), biases 0 (authors' code)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
