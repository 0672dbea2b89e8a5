"""The networks of the recipe `scratch`: encoder → decoder → encoder, with latent maps and an identity embedding.

Differences from GANomaly's networks (Akcay et al. 2018, section 3.1), each for a reason that was measured:

- The latent vector becomes latent maps with one vector per place, at strides 4, 8, 16 and 32. The distance that gives
  the score then also locates the defect, and a defect of a few pixels does not drown in one vector for the whole frame.
- A top-down path adds coarse context to the fine maps (feature pyramid network, Lin et al. 2017, section 3).
- The decoder sees the frame through two bottlenecks only: 8 channels at stride 16 and 64 channels at stride 32.
- Residual blocks, a strided stem instead of four halvings at full width, and no tanh: 0.5 million weights instead of
  9 million.
- The encoders know the position of each place (positional encoding, Vaswani et al. 2017, section 3.5): only its
  position distinguishes a missing hole from plain metal.
- Each encoder also describes the whole frame by a unit vector, its identity embedding
  (`engines.networks.losses.identity_loss`).

Names of modules and buffers are the keys of `weights.npz` and the initialisers of the ONNX graph. Bundles in use have
them, so they cannot be renamed.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# Channels at strides 4, 8, 16 and 32. Multiples of 16 fill the vector units: (24, 40, 48, 96) took a quarter longer.
WIDTHS = (16, 32, 48, 96)
# Channels through which the decoder sees the features at strides 4 to 32; 0 means not at all.
BOTTLENECKS = (0, 0, 8, 64)
# Length of the identity embedding.
IDENTITY = 64

# Negative slope of the leaky ReLU.
_SLOPE = 0.1

# The positional encoding has sines and cosines of 1, 2, 4 and 8 periods over each axis of the frame.
_FREQUENCIES = 4


class FrameCrop(NamedTuple):
    """A rectangle of a frame, in fractions of the frame's height and width."""

    top: float = 0.0
    left: float = 0.0
    height: float = 1.0
    width: float = 1.0


FULL_FRAME = FrameCrop()


class Latents(NamedTuple):
    """The result of one pass through encoder, decoder and second encoder."""

    of_frame: list[Tensor]
    """Latent maps of the frames, fine to coarse: [N, D, H/4, W/4] … [N, D, H/32, W/32]."""
    of_reconstruction: list[Tensor]
    """Latent maps of the reconstructions, same shapes."""
    reconstruction: list[Tensor]
    """What the decoder restored, of the shapes of `MapGenerator.inputs`: standardised frames [N, C, H, W]."""
    identity: Tensor
    """Identity embeddings of the frames, unit vectors [N, 64]."""
    reconstruction_identity: Tensor
    """Identity embeddings of the reconstructions, unit vectors [N, 64]."""
    stem: Tensor
    """Features of the frames after the first layer, [N, C, H/4, W/4]; always float32."""


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


def _stem(channels: int, width: int) -> nn.Sequential:
    """Frames → features at stride 4 in one step: computation is better spent in deeper layers than at full size."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 8, 4, 2, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE, inplace=True)
    )


def _frame_stages(channels: int, widths: tuple[int, ...]) -> list[nn.Module]:
    """Layers from frames to features at strides 4, 8, 16 and 32."""
    stem = _stem(channels, widths[0])
    return [stem, *(halving_stage(narrow, wide, last=wide == widths[-1]) for narrow, wide in pairwise(widths))]


def halving_stage(narrow: int, wide: int, *, last: bool) -> nn.Sequential:
    """Halve, then refine. The coarsest stage has no residual block: it would hold a third of all weights."""
    return nn.Sequential(_convolution(narrow, wide, 2), *([] if last else [ResidualBlock(wide)]))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with an identity shortcut (He et al. 2016)."""

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
    """Adds to each place of a feature map a learned encoding of its position: guides hold the parts in place."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows = nn.Linear(2 * _FREQUENCIES, width, bias=False)
        self.columns = nn.Linear(2 * _FREQUENCIES, width, bias=False)

    def forward(self, maps: Tensor, crop: FrameCrop = FULL_FRAME) -> Tensor:
        """Encode the positions of maps [N, C, h, w]; `crop` is the part of the frame that they show."""
        vertical = _sinusoids(maps.shape[-2], crop.top, crop.height)
        horizontal = _sinusoids(maps.shape[-1], crop.left, crop.width)
        rows, columns = (
            layer(sinusoids.to(maps.device, _dtype_of(layer))).T
            for layer, sinusoids in ((self.rows, vertical), (self.columns, horizontal))
        )
        encoded: Tensor = maps + rows[:, :, None].to(maps.dtype) + columns[:, None, :].to(maps.dtype)
        return encoded


def _sinusoids(count: int, start: float = 0.0, length: float = 1.0) -> Tensor:
    """Sines and cosines [count, 2·frequencies] at `count` places along an axis.

    The places span `length` from `start`, both in fractions of the frame.
    """
    places = start + length * (torch.arange(count, dtype=torch.float32) + 0.5) / count
    angles = torch.stack([places * (2.0 * math.pi * 2**frequency) for frequency in range(_FREQUENCIES)], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class MapEncoder(nn.Module):
    """Frames → features at strides 4 to 32 → latent maps (top-down), and an identity embedding of the coarsest."""

    def __init__(self, stages: Sequence[nn.Module], widths: tuple[int, ...]) -> None:
        """Build an encoder on `stages`, whose outputs have `widths` channels at strides 4, 8, 16 and 32."""
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.positions = nn.ModuleList(PositionalEncoding(width) for width in widths)
        self.down = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.mix = nn.ModuleList(_convolution(width, width) for width in widths[:-1])
        self.out = nn.ModuleList(nn.Conv2d(width, width, 1) for width in widths)
        self.identity = nn.Sequential(
            nn.Linear(widths[-1], 96), nn.BatchNorm1d(96), nn.LeakyReLU(_SLOPE, inplace=True), nn.Linear(96, IDENTITY)
        )

    def features(self, frames: Tensor, crop: FrameCrop = FULL_FRAME) -> list[Tensor]:
        """Compute features at strides 4, 8, 16 and 32, before the top-down path."""
        return self.stage_features(self.stem_features(frames), crop)

    def stem_features(self, frames: Tensor) -> Tensor:
        """Compute the first layer's features at stride 4, before any positional encoding."""
        features: Tensor = self.stages[0](frames.to(_dtype_of(self.stages[0])))
        return features

    def stage_features(self, stem: Tensor, crop: FrameCrop = FULL_FRAME) -> list[Tensor]:
        """Compute features at strides 4, 8, 16 and 32 from those of the stem."""
        maps = self.positions[0](stem, crop)
        features = [maps]
        for stage, position in zip(self.stages[1:], self.positions[1:], strict=True):
            maps = position(stage(maps.to(_dtype_of(stage))), crop)
            features.append(maps)
        return features

    def latent_maps(self, features: list[Tensor]) -> list[Tensor]:
        """Compute latent maps, fine to coarse; through the top-down path each place has the coarsest map's context."""
        above = features[-1]
        maps = [self.out[-1](above)]
        for level in range(len(features) - 2, -1, -1):
            enlarged = _resized(self.down[level](above), features[level])
            above = self.mix[level](features[level].to(enlarged.dtype) + enlarged)
            maps.insert(0, self.out[level](above))
        return maps

    def embed_identity(self, features: list[Tensor], content: Tensor | None = None) -> Tensor:
        """Compute identity embeddings: unit vectors [N, 64], float32.

        With `content` [N, 1, H, W], 1 on the image and 0 on padding, places count by their share of the image.
        """
        vectors: Tensor = self.identity(_pooled(features[-1], content).float()).float()
        return vectors / ((vectors * vectors).sum(1, keepdim=True) + 1e-6).sqrt()


class MapDecoder(nn.Module):
    """Features of the first encoder → maps of the same strides, through the bottlenecks."""

    def __init__(self, widths: tuple[int, ...], bottlenecks: tuple[int, ...]) -> None:
        super().__init__()
        levels = range(len(widths))
        self._bottleneck_levels = [level for level in levels if bottlenecks[level]]
        narrow = {str(level): nn.Conv2d(widths[level], bottlenecks[level], 1) for level in self._bottleneck_levels}
        self.narrow = nn.ModuleDict(narrow)
        above = (*widths[1:], 0)
        self.join = nn.ModuleList(_convolution(above[level] + bottlenecks[level], widths[level]) for level in levels)

    def joined(self, features: list[Tensor]) -> list[Tensor]:
        """Decode features at strides 4 to 32 into maps of the same strides, fine to coarse."""
        maps: list[Tensor] = []
        for level in range(len(features) - 1, -1, -1):
            inputs = [_resized(maps[0], features[level])] if maps else []
            if level in self._bottleneck_levels:
                inputs.append(self.narrow[str(level)](features[level]))
            maps.insert(0, self.join[level](torch.cat(inputs, 1) if len(inputs) > 1 else inputs[0]))
        return maps


class FrameDecoder(MapDecoder):
    """Features of the first encoder → frames without their synthetic anomalies."""

    def __init__(self, channels: int, widths: tuple[int, ...], bottlenecks: tuple[int, ...]) -> None:
        super().__init__(widths, bottlenecks)
        self.draw = nn.ConvTranspose2d(widths[0], channels, 8, 4, 2)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Decode features at strides 4 to 32 into standardised frames [N, C, H, W]."""
        result: Tensor = self.draw(self.joined(features)[0])
        return result


class MapGenerator(nn.Module):
    """The default generator. `centre` and `spread`, [1, C, 1, 1], are mean and standard deviation of good frames."""

    def __init__(
        self, channels: int, widths: tuple[int, ...] = WIDTHS, bottlenecks: tuple[int, ...] = BOTTLENECKS
    ) -> None:
        super().__init__()
        self.encoder1 = MapEncoder(_frame_stages(channels, widths), widths)
        self.decoder: MapDecoder = FrameDecoder(channels, widths, bottlenecks)
        self.encoder2 = MapEncoder(_frame_stages(channels, widths), widths)
        self.register_buffer("centre", torch.zeros(1, channels, 1, 1))
        self.register_buffer("spread", torch.ones(1, channels, 1, 1))
        self.centre: Tensor
        self.spread: Tensor

    def half(self) -> MapGenerator:
        """Convert to float16, except where rounding would change verdicts.

        Those parts are the identity embeddings, and the first encoder's stem, whose features are whitened.
        """
        full = copy.deepcopy(self)
        super().half()
        self.centre, self.spread = full.centre, full.spread
        for mine, whole in ((self.encoder1, full.encoder1), (self.encoder2, full.encoder2)):
            mine.identity = whole.identity
        self.encoder1.stages[0] = full.encoder1.stages[0]
        return self

    def standardise(self, frames: Tensor) -> Tensor:
        """Convert frames to units of the good frames' mean and standard deviation, per channel."""
        return (frames - self.centre) / self.spread

    def measure(self, frames: Tensor) -> Tensor:
        """Mean and standard deviation of what is standardised, over good frames [N, C, H, W]: [2, 1, C, 1, 1]."""
        return mean_and_std(frames)

    def set_scale(self, measured: Tensor) -> None:
        """Standardise by these means and standard deviations from now on, of the shape that `measure` returns."""
        self.centre.copy_(measured[0])
        self.spread.copy_(measured[1].clamp(min=1e-3))

    def inputs(self, frames: Tensor) -> list[Tensor]:
        """Compute what the first encoder sees and the decoder restores, of normalised frames [N, C, H, W]."""
        return [self.standardise(frames)]

    def forward(self, frames: Tensor, crop: FrameCrop = FULL_FRAME, content: Tensor | None = None) -> Latents:
        """Compute all latents of normalised frames [N, C, H, W], H and W multiples of 16; they show `crop`.

        Identities are of `content`, as in `MapEncoder.embed_identity`.
        """
        stem = self.encoder1.stem_features(self.standardise(frames))
        features = self.encoder1.stage_features(stem.to(_dtype_of(self.encoder1.positions[0])), crop)
        reconstruction = self.decoder(features)
        reconstruction_features = self.encoder2.features(reconstruction, crop)
        return Latents(
            self.encoder1.latent_maps(features),
            self.encoder2.latent_maps(reconstruction_features),
            [reconstruction],
            self.encoder1.embed_identity(features, content),
            self.encoder2.embed_identity(reconstruction_features, content),
            stem.float(),
        )

    def encode(self, frames: Tensor, crop: FrameCrop = FULL_FRAME) -> list[Tensor]:
        """Compute the first encoder's latent maps only, fine to coarse: a third of the work."""
        return self.encoder1.latent_maps(self.encoder1.features(self.standardise(frames), crop))

    def embed_identity(self, frames: Tensor, crop: FrameCrop = FULL_FRAME) -> Tensor:
        """Compute the first encoder's identity embeddings only: unit vectors [N, 64]."""
        return self.encoder1.embed_identity(self.encoder1.features(self.standardise(frames), crop))


def mean_and_std(maps: Tensor) -> Tensor:
    """Mean and standard deviation of each channel of maps [N, C, h, w]: [2, 1, C, 1, 1]."""
    return torch.stack([maps.mean((0, 2, 3), keepdim=True), maps.std((0, 2, 3), keepdim=True)])


def _pooled(maps: Tensor, content: Tensor | None) -> Tensor:
    """Mean [N, C] of maps [N, C, h, w], weighted by the share of content in each place."""
    if content is None:
        return maps.mean(dim=(2, 3))
    # Sides that are no multiple of the coarsest stride have a place more, of which only a part is frame.
    sides = content.shape[2] / maps.shape[2], content.shape[3] / maps.shape[3]
    stride = 1 << (math.ceil(max(sides)) - 1).bit_length()
    beyond = (0, maps.shape[3] * stride - content.shape[3], 0, maps.shape[2] * stride - content.shape[2])
    shares = functional.avg_pool2d(functional.pad(content, beyond) if any(beyond) else content, stride)
    return (maps.float() * shares).sum((2, 3)) / shares.sum((2, 3)).clamp(min=1e-3)


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _resized(maps: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(maps, size=like.shape[-2:], mode="nearest")
