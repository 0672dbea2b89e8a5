"""Discriminators that tell the features of good places from the same with noise: how far off a place is.

A layer of hidden units and a weighted sum of them learn to separate patches of good frames from copies with Gaussian
noise in every channel (SimpleNet, Liu et al. 2023, section 3.3). Where good patches are dense the odds are low, and
they rise smoothly away from there, while the distance to the nearest of a thousand remembered patches depends on which
those are. SimpleNet adapts the features first and adds little noise. The noise here is strong: it shows the shape of
the whole distribution, which few good frames show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# Units of the hidden layer, and deviation of the noise in those of the good patches' channels. With 32 units, or a
# deviation of 1 or 3, AUROC on solar cells and castings was the same within 0.004.
_HIDDEN, _NOISE = 128, 2.0

# Three seconds for 232 channels and batches of 1,024 good patches (one thread); with 256 of them castings lost 0.007.
# Batches of fewer patches are this part of them.
_STEPS, _LEARNING_RATE, _WEIGHT_DECAY = 400, 2e-3, 1e-4
_LARGEST_BATCH, _SMALLEST_BATCH, _PART = 1024, 32, 32

_SLOPE = 0.2

# Weights of the four discriminators among themselves, and of all beside memories of good patches.
_WEIGHTS, _SHARE = (1 / 3, 1 / 3, 1 / 6, 1 / 6), 0.5


class NoiseDiscriminator(nn.Module):
    """Feature maps [N, C, h, w] → log odds that noise was added, float32 [N, 1, h, w]; `fit` it to good patches first.

    Buffers are the keys of `weights.npz` and the initialisers of the ONNX graph.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(1, channels, 1, 1))
        self.register_buffer("scale", torch.ones(1, channels, 1, 1))
        self.register_buffer("hidden", torch.zeros(_HIDDEN, channels, dtype=torch.float16))
        self.register_buffer("offsets", torch.zeros(_HIDDEN))
        self.register_buffer("output", torch.zeros(1, _HIDDEN))
        self.centre: Tensor
        """Mean of good patches."""
        self.scale: Tensor
        """One divided by their standard deviation."""
        self.hidden: Tensor
        """Weights of the hidden units [H, C]."""
        self.offsets: Tensor
        """Their offsets [H]."""
        self.output: Tensor
        """Weights of their sum [1, H]. It has no offset: only differences between places say anything."""

    def forward(self, maps: Tensor) -> Tensor:
        standardised = (maps.float() - self.centre) * self.scale
        units = functional.conv2d(standardised, self.hidden.float()[:, :, None, None], self.offsets)
        return functional.conv2d(functional.leaky_relu(units, _SLOPE), self.output[:, :, None, None])

    def fit(self, patches: Tensor, generator: torch.Generator) -> None:
        """Learn to tell patches of good frames, float32 [K, C], from copies with noise."""
        spread, mean = torch.std_mean(patches, 0)
        scale = 1.0 / spread.clamp(min=1e-6)
        with torch.enable_grad():
            layers = _learned((patches - mean) * scale, generator).eval()
        first, norm, _, last = layers
        # Batch normalisation is a scale and an offset now, and becomes part of the hidden units.
        gain = (norm.weight / (norm.running_var + norm.eps).sqrt()).detach()
        self.centre, self.scale = mean[None, :, None, None], scale[None, :, None, None]
        self.hidden = (first.weight.detach() * gain[:, None]).half()
        self.offsets = ((first.bias - norm.running_mean) * gain + norm.bias).detach()
        self.output = last.weight.detach()


class NoiseDiscriminators(nn.Module):
    """Four discriminators for maps of a frame as it is and of the frame relative to itself.

    Two see all features of a place together, two those at stride 8 alone, of which the highest of 2×2 places counts.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        """Args: channels: of the maps at stride 8, and of those at stride 16."""
        super().__init__()
        self.discriminators = nn.ModuleList(
            NoiseDiscriminator(each) for each in (sum(channels), sum(channels), channels[0], channels[0])
        )
        self.register_buffer("usual", torch.zeros(4))
        self.register_buffer("spread", torch.ones(4))
        self.register_buffer("share", torch.zeros(()))
        self.usual: Tensor
        """Mean odds of each over places of held-out good frames, [4]."""
        self.spread: Tensor
        """Their deviations, [4]."""
        self.share: Tensor
        """How much the discriminators count beside memories, a scalar; 0 in bundles from before they existed."""

    def inputs(self, deep: list[Tensor]) -> list[Tensor]:
        """What each of them sees of maps at strides 8, 16, …, of the frame as it is and then relative to itself."""
        half = len(deep) // 2
        both = deep[:half], deep[half:]
        joined = [torch.cat([functional.avg_pool2d(first, 2), *rest], 1) for first, *rest in both]
        return [*joined, *(first for first, *_ in both)]

    def forward(self, deep: list[Tensor]) -> Tensor:
        """Compute log odds of all four, float32 [N, 4, H/16, W/16]."""
        odds = [discriminator(maps) for discriminator, maps in zip(self.discriminators, self.inputs(deep), strict=True)]
        return torch.cat([*odds[:2], *(functional.max_pool2d(maps, 2) for maps in odds[2:])], 1)

    def fit(self, patches: Sequence[Tensor], generator: torch.Generator) -> None:
        """Fit each to good patches of its `inputs`, float32 [K, C]; they count once they have units."""
        self.share = torch.zeros(())
        for discriminator, good in zip(self.discriminators, patches, strict=True):
            assert isinstance(discriminator, NoiseDiscriminator)
            discriminator.fit(good, generator)

    def fit_units(self, odds: Tensor, classes: Tensor) -> None:
        """Find their units from the odds [K, 4] of places of held-out good frames.

        `classes`, a scalar in 0 … 1, says how much good frames fall into classes. The discriminators take what lies
        between two classes for good, so they do not count there.
        """
        self.spread, self.usual = torch.std_mean(odds, 0, correction=0)
        self.spread = self.spread.clamp(min=1e-6)
        self.share = _SHARE * (1.0 - classes)

    def combined(self, odds: Tensor) -> Tensor:
        """Weighted mean of log odds [N, 4, h, w] in units of good places' deviations: [N, 1, h, w]."""
        usual, scale = self.usual[:, None, None], (torch.tensor(_WEIGHTS) / self.spread)[:, None, None]
        return ((odds - usual) * scale).sum(1, keepdim=True)

    def averaged_with(self, distances: Tensor, spread: Tensor, combined: Tensor) -> Tensor:
        """Average `combined` with distances [N, 1, h, w], usually 1, whose deviation over good places is `spread`."""
        return ((distances + self.share * (1.0 + spread * combined)) / (1.0 + self.share)).clamp(min=0.0)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        if f"{prefix}share" not in state_dict:
            state_dict.update({f"{prefix}{name}": value for name, value in self.state_dict().items()})
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _learned(patches: Tensor, generator: torch.Generator) -> Any:
    """The trained layers, for standardised patches."""
    first, last = nn.Linear(patches.shape[1], _HIDDEN), nn.Linear(_HIDDEN, 1)
    for layer in (first, last):
        nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
        nn.init.zeros_(layer.bias)
    layers = nn.Sequential(first, nn.BatchNorm1d(_HIDDEN), nn.LeakyReLU(_SLOPE), last)
    batch = min(max(len(patches) // _PART, _SMALLEST_BATCH), _LARGEST_BATCH)
    optimiser: Any = torch.optim.AdamW(layers.parameters(), _LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    for step in range(_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = _LEARNING_RATE * (1.0 - step / _STEPS)
        good = patches[torch.randint(len(patches), (batch,), generator=generator)]
        noisy = good + _NOISE * torch.randn(good.shape, generator=generator)
        odds_good, odds_noisy = layers(torch.cat([good, noisy])).chunk(2)
        loss: Any = functional.softplus(odds_good).mean() + functional.softplus(-odds_noisy).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return layers
