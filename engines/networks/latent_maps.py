"""The default networks: encoder → decoder → encoder, fully convolutional, with latents at four scales and a whole one.

Departures from GANomaly's networks (Akcay et al. 2018, section 3.1), each for a reason that was measured:

- the latent vector becomes latent maps, one value per channel and place at strides 4, 8, 16 and 32, so that the same
  distance that gives the score also says where, and so that a defect of a few pixels does not drown in a vector that
  describes the whole frame;
- a top-down path brings what the coarse maps know to the fine ones (feature pyramid, Lin et al. 2017, section 3);
- the decoder sees the frame through two narrow places only, 8 channels at stride 16 and all of stride 32;
- residual blocks, a strided stem instead of four halvings at full width, and no tanh: 0.5 million weights instead of
  9 million;
- the encoders know where on the frame a place is (positional encoding, Vaswani et al. 2017, section 3.5): a hole that
  is missing can be told from metal only by where it is;
- each encoder also describes the whole frame by one unit vector, its identity
  (`engines.networks.losses.identity_loss`).
"""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# Channels at strides 4, 8, 16 and 32. Multiples of 16 fill the vector units: (24, 40, 48, 96) took a quarter longer.
WIDTHS = (16, 32, 48, 96)
# Channels through which the decoder sees the maps at strides 4 to 32; 0 means not at all.
BOTTLENECKS = (0, 0, 8, 64)
# Length of the vector that describes a whole frame.
IDENTITY = 64

_SLOPE = 0.1

# Sines and cosines of each axis: 1, 2, 4 and 8 waves over the frame.
_WAVES = 4


class Window(NamedTuple):
    """The part of a frame that is looked at, in shares of the frame's height and width."""

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0


WHOLE = Window()


class Latents(NamedTuple):
    """What one pass through the three networks gives."""

    first: list[Tensor]
    """Latent maps of the frames, fine to coarse: [N, D, H/4, W/4] … [N, D, H/32, W/32]."""
    again: list[Tensor]
    """Latent maps of the reconstructions, same shapes."""
    reconstruction: Tensor
    """[N, C, H, W], standardised as `MapGenerator.standardise` does."""
    identity: Tensor
    """Of the frames, unit vectors [N, 64]."""
    identity_again: Tensor
    """Of the reconstructions, unit vectors [N, 64]."""
    shallow: Tensor
    """Features of the frames after one layer, [N, 16, H/4, W/4], float32 also where the rest is not."""


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _stem(channels: int, width: int) -> nn.Sequential:
    """Frames → stride 4 at once: what a wide layer at full size would cost is better spent deeper."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 8, 4, 2, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE, inplace=True)
    )


def _stage(narrow: int, wide: int, *, last: bool) -> nn.Sequential:
    """Halve, then refine; the coarsest map is refined no more, as its weights would be a third of all."""
    return nn.Sequential(_convolution(narrow, wide, 2), *([] if last else [Residual(wide)]))


class Residual(nn.Module):
    """Two 3×3 convolutions beside an identity (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return functional.leaky_relu(maps + self.body(maps), _SLOPE)


class PositionalEncoding(nn.Module):
    """Adds to a map where on the frame each place is, as sines and cosines: parts lie where guides hold them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = nn.Linear(2 * _WAVES, width, bias=False)
        self.columns = nn.Linear(2 * _WAVES, width, bias=False)

    def forward(self, maps: Tensor, window: Window = WHOLE) -> Tensor:
        down = _waves(maps.shape[-2], window.top, window.height)
        across = _waves(maps.shape[-1], window.left, window.width)
        rows, columns = (
            weigh(waves.to(maps.device, _type_of(weigh))).T
            for weigh, waves in ((self.rows, down), (self.columns, across))
        )
        placed: Tensor = maps + rows[:, :, None].to(maps.dtype) + columns[:, None, :].to(maps.dtype)
        return placed


def _waves(count: int, start: float = 0.0, share: float = 1.0) -> Tensor:
    """Sines and cosines at `count` places in a row, which begins at `start` and is `share` of the frame long.

    [count, 2·waves].
    """
    places = start + share * (torch.arange(count, dtype=torch.float32) + 0.5) / count
    angles = torch.stack([places * (2.0 * math.pi * 2**wave) for wave in range(_WAVES)], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class MapEncoder(nn.Module):
    """Frames → features at strides 4 to 32; from them latent maps, top-down, and one vector of the coarsest."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stages = nn.ModuleList([_stem(channels, widths[0])])
        for narrow, wide in pairwise(widths):
            self.stages.append(_stage(narrow, wide, last=wide == widths[-1]))
        self.positions = nn.ModuleList(PositionalEncoding(width) for width in widths)
        self.down = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.mix = nn.ModuleList(_convolution(width, width) for width in widths[:-1])
        self.out = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths)
        self.identity = nn.Sequential(
            nn.Linear(widths[-1], 96), nn.BatchNorm1d(96), nn.LeakyReLU(_SLOPE, inplace=True), nn.Linear(96, IDENTITY)
        )

    def features(self, frames: Tensor, window: Window = WHOLE) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32, before the top-down path."""
        return self.deeper(self.shallow(frames), window)

    def shallow(self, frames: Tensor) -> Tensor:
        """Features at stride 4 as the first layer has them, before they are told where on the frame they are."""
        first: Tensor = self.stages[0](frames.to(_type_of(self.stages[0])))
        return first

    def deeper(self, shallow: Tensor, window: Window = WHOLE) -> list[Tensor]:
        """Features at strides 4, 8, 16 and 32, from those of the first layer."""
        maps = self.positions[0](shallow, window)
        found = [maps]
        for stage, position in zip(self.stages[1:], self.positions[1:], strict=True):
            maps = position(stage(maps.to(_type_of(stage))), window)
            found.append(maps)
        return found

    def latent_maps(self, features: list[Tensor]) -> list[Tensor]:
        """Latent maps, fine to coarse: every place knows its surroundings as far as the coarsest map sees."""
        above = features[-1]
        maps = [self.out[-1](above)]
        for level in range(len(features) - 2, -1, -1):
            spread = _resized(self.down[level](above), features[level])
            above = self.mix[level](features[level].to(spread.dtype) + spread)
            maps.insert(0, self.out[level](above))
        return maps

    def describe(self, features: list[Tensor]) -> Tensor:
        """Unit vectors [N, 64], float32."""
        vectors: Tensor = self.identity(features[-1].mean(dim=(2, 3)).float()).float()
        return vectors / ((vectors * vectors).sum(1, keepdim=True) + 1e-6).sqrt()


class MapDecoder(nn.Module):
    """Features of the first encoder → frames without their damage."""

    def __init__(self, channels: int, widths: tuple[int, ...], bottlenecks: tuple[int, ...]) -> None:
        super().__init__()
        levels = range(len(widths))
        self.seen = [level for level in levels if bottlenecks[level]]
        narrow = {str(level): nn.Conv2d(widths[level], bottlenecks[level], 1) for level in self.seen}
        self.narrow = nn.ModuleDict(narrow)
        above = (*widths[1:], 0)
        self.join = nn.ModuleList(_convolution(above[level] + bottlenecks[level], widths[level]) for level in levels)
        self.draw = nn.ConvTranspose2d(widths[0], channels, 8, 4, 2)

    def forward(self, features: list[Tensor]) -> Tensor:
        maps: Tensor | None = None
        for level in range(len(features) - 1, -1, -1):
            parts = [] if maps is None else [_resized(maps, features[level])]
            if level in self.seen:
                parts.append(self.narrow[str(level)](features[level]))
            maps = self.join[level](torch.cat(parts, 1) if len(parts) > 1 else parts[0])
        result: Tensor = self.draw(maps)
        return result


class MapGenerator(nn.Module):
    """The default generator; `centre` and `spread` are those of good frames, set once before training."""

    def __init__(
        self, channels: int, widths: tuple[int, ...] = WIDTHS, bottlenecks: tuple[int, ...] = BOTTLENECKS
    ) -> None:
        super().__init__()
        self.encoder1 = MapEncoder(channels, widths)
        self.decoder = MapDecoder(channels, widths, bottlenecks)
        self.encoder2 = MapEncoder(channels, widths)
        self.register_buffer("centre", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))
        self.centre: Tensor
        self.spread: Tensor

    def half(self) -> MapGenerator:
        """Convert to float16 all but what enlarges rounding to more than a verdict bears.

        That are the identities, and the first encoder's first layer, whose features are whitened.
        """
        kept = copy.deepcopy(self)
        super().half()
        self.centre, self.spread = kept.centre, kept.spread
        for mine, whole in ((self.encoder1, kept.encoder1), (self.encoder2, kept.encoder2)):
            mine.identity = whole.identity
        self.encoder1.stages[0] = kept.encoder1.stages[0]
        return self

    def standardise(self, frames: Tensor) -> Tensor:
        """Frames in units of the good frames' own mean and standard deviation, per channel."""
        return (frames - self.centre) / self.spread

    def forward(self, frames: Tensor, window: Window = WHOLE) -> Latents:
        """Normalised frames [N, C, H, W], H and W multiples of 16; or `window` of larger ones."""
        shallow = self.encoder1.shallow(self.standardise(frames))
        features = self.encoder1.deeper(shallow.to(_type_of(self.encoder1.positions[0])), window)
        reconstruction = self.decoder(features)
        features_again = self.encoder2.features(reconstruction, window)
        return Latents(
            self.encoder1.latent_maps(features),
            self.encoder2.latent_maps(features_again),
            reconstruction,
            self.encoder1.describe(features),
            self.encoder2.describe(features_again),
            shallow.float(),
        )

    def encode(self, frames: Tensor, window: Window = WHOLE) -> list[Tensor]:
        """Only the first encoder's latent maps, fine to coarse: a third of the work of all."""
        return self.encoder1.latent_maps(self.encoder1.features(self.standardise(frames), window))

    def identify(self, frames: Tensor, window: Window = WHOLE) -> Tensor:
        """Only what the first encoder makes of whole frames: unit vectors [N, 64]."""
        return self.encoder1.describe(self.encoder1.features(self.standardise(frames), window))


def _type_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, size=like.shape[-2:], mode="nearest")
