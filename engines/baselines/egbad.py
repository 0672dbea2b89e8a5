"""EGBAD: a BiGAN learns to draw good frames and to encode them at once, so that no search is needed.

Zenati et al., "Efficient GAN-based anomaly detection" (2018, arXiv:1802.06222); networks and training as in the
appendix's table for MNIST and the authors' code: encoder E, generator G and a discriminator D that tells pairs
(x, E(x)) from (G(z), z), z normal with 200 values, Adam with β₁ 0.5, averaged weights for inference (decay 0.999).
The score is

    0.9 · Σ|x − G(E(x))| + 0.1 · Σ|f(x, E(x)) − f(G(E(x)), E(x))|,

f being the features before D's last layer (section 3, feature matching). The heatmap is |x − G(E(x))|, mean over the
channels.

Departures:

- the paper's frames are 28×28 and halved twice, to 7×7. Here they are halved until 8 pixels or fewer remain, with the
  last filters repeated;
- learning rate 2e-4, that of the BiGAN itself (Donahue et al., ICLR 2017), as EGBAD's 1e-5 needs the 54,000 steps it
  was given; the averages start as plain means, so that few steps leave no trace of the initial weights;
- batch normalisation gets the statistics of the final weights before inference;
- batches of 64 (100 in the paper), and as many steps as the budget allows.
"""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.baselines.baseline import Baseline, Limits
from engines.baselines.steps import device, learn, ready, some_batches
from engines.bundles import Frames
from engines.networks.ganomaly import check_size, refresh_statistics
from engines.progress import Progress

WEIGHT = 0.9
"""α, share of the residual in the score."""

_LATENT = 200
_LEARNING_RATE, _BETAS = 2e-4, (0.5, 0.999)
_AVERAGE_DECAY = 0.999
_SLOPE = 0.1
_DROPOUT = 0.5
_BATCH = 64
_REMAINS = 8


class Bigan(nn.Module):
    """Encoder, generator and discriminator."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        check_size(height, width)
        halvings = _halvings(height, width)
        small = (height >> halvings, width >> halvings)
        self.encoder = _encoder(channels, halvings, small)
        self.generator = _generator(channels, halvings, small)
        self.judge = _Judge(channels, halvings, small)
        self.apply(_initialise)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """[N, C, H, W] → (G(E(x)) [N, C, H, W], E(x) [N, 200])."""
        code = self.encoder(frames)
        return self.generator(code), code


class _Judge(nn.Module):
    """Which pair of frame and code is it: logits and the features before them."""

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
        game = _Game(Bigan(height, width, channels).to(device()))
        learn(frames, self.normalisation, game.step, batch=_BATCH, seed=seed, limits=limits, progress=progress)
        bigan = game.averaged
        refresh_statistics(_Whole(bigan), some_batches(frames, self.normalisation, _BATCH))
        ready(bigan)
        self._bigan = bigan

    @torch.inference_mode()
    def _score(self, frames: Frames) -> tuple[Any, Any]:
        assert self._bigan is not None
        values = self.normalised(frames).to(device())
        drawn, code = self._bigan(values)
        difference = (values - drawn).abs()
        features, features_again = self._bigan.judge(values, code)[1], self._bigan.judge(drawn, code)[1]
        matching = (features - features_again).abs().sum(1)
        score = WEIGHT * difference.flatten(1).sum(1) + (1 - WEIGHT) * matching
        return score.cpu().numpy(), difference.mean(1).cpu().numpy()


class _Whole(nn.Module):
    """All three networks on the way that a frame takes, so that each one's batch normalisation sees it."""

    def __init__(self, bigan: Bigan) -> None:
        super().__init__()
        self.bigan = bigan

    def forward(self, frames: Tensor) -> Tensor:
        drawn, code = self.bigan(frames)
        logits: Tensor = self.bigan.judge(torch.cat([frames, drawn]), torch.cat([code, code]))[0]
        return logits


class _Game:
    """The players, their optimisers and the averages of their weights."""

    def __init__(self, bigan: Bigan) -> None:
        self._bigan = bigan
        self.averaged = copy.deepcopy(bigan)
        self._steps = 0
        players = [*bigan.encoder.parameters(), *bigan.generator.parameters()]
        self._players_adam = torch.optim.Adam(players, _LEARNING_RATE, betas=_BETAS)
        self._judge_adam = torch.optim.Adam(bigan.judge.parameters(), _LEARNING_RATE, betas=_BETAS)

    def step(self, frames: Tensor) -> None:
        """One update of the discriminator, then one of encoder and generator."""
        z = torch.randn(len(frames), _LATENT, device=frames.device)
        drawn, code = self._bigan.generator(z), self._bigan.encoder(frames)
        self._update(self._judge_adam, self._loss((frames, code.detach()), (drawn.detach(), z), deceive=False))
        self._update(self._players_adam, self._loss((frames, code), (drawn, z), deceive=True))
        self._average()

    def _loss(self, encoded: tuple[Tensor, Tensor], drawn: tuple[Tensor, Tensor], *, deceive: bool) -> Tensor:
        """Cross-entropy of telling encoded pairs from drawn ones, or of taking each for the other."""
        on_encoded, on_drawn = self._bigan.judge(*encoded)[0], self._bigan.judge(*drawn)[0]
        wanted = torch.full_like(on_encoded, 0.0 if deceive else 1.0)
        return functional.binary_cross_entropy_with_logits(
            on_encoded, wanted
        ) + functional.binary_cross_entropy_with_logits(on_drawn, 1 - wanted)

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
    """How often a frame is halved until 8 pixels or fewer remain, as long as halves are whole; at least twice."""
    times = 2
    while min(height, width) >> times > _REMAINS and not (height >> times) % 2 and not (width >> times) % 2:
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
    """Weights from N(0, 0.02), no bias to begin with (authors' code)."""
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
