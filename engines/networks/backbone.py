"""EfficientNet-Lite0 up to its eleventh block: features of natural images, at strides 4, 8 and 16.

The network is that of Tan and Le (2019), in the variant without squeeze-and-excitation and with ReLU6 that TensorFlow
published for devices ("EfficientNet-Lite", 2020). Its weights were trained on ImageNet, to distinguish a thousand kinds
of things. They are frozen here.

Batch normalisation is folded into the convolutions when the published weights are loaded: frozen, it is a scale and an
offset. 16 frames of 160 pixels then took PyTorch 0.23 s instead of 0.35 s, and with ReLU6 in place and channels last
0.12 s (one thread, 2026-11-28).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Stage(NamedTuple):
    """Blocks of one width."""

    kernel: int
    stride: int
    """Of the first block; the others have 1."""
    expansion: int
    channels: int
    blocks: int


_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
)
_STEM_CHANNELS = 32

# As in the published network.
_EPSILON = 1e-3

# Gray values 0 … 255 were mapped to about −1 … 1 by mean 127 and deviation 128.
_CENTRE, _SPREAD = 127.0 / 127.5 - 1.0, 128.0 / 127.5


class BackboneFeatures(NamedTuple):
    """Features of one batch of frames, [N, channels, H / stride, W / stride]."""

    stride4: Tensor
    """24 channels: edges and grain."""
    stride8: Tensor
    """40 channels: corners, ends of lines, texture."""
    stride16: Tensor
    """80 channels: small shapes."""
    context: Tensor
    """112 channels, stride 16 too: shapes and their surroundings."""


# Number of the last block of each of the features.
_TAPS = (2, 4, 7, 10)
CHANNELS = (24, 40, 80, 112)


class Backbone(nn.Module):
    """The network; frames in, features out. Batch normalisation is part of its convolutions."""

    channels = CHANNELS
    """Channels of the four features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(_SameConvolution(3, _STEM_CHANNELS, 3, 2), nn.ReLU6(inplace=True))
        self.blocks = nn.ModuleList()
        inputs = _STEM_CHANNELS
        for stage in _STAGES:
            for index in range(stage.blocks):
                stride = stage.stride if index == 0 else 1
                self.blocks.append(_Block(inputs, stage.channels, stage.kernel, stride, stage.expansion))
                inputs = stage.channels
        for weight in self.parameters():
            weight.requires_grad_(False)

    def forward(self, frames: Tensor) -> BackboneFeatures:
        """Compute features of frames in −1 … 1, [N, 1 or 3 (BGR), H, W], H and W multiples of 16."""
        rgb = frames.expand(-1, 3, -1, -1) if frames.shape[1] == 1 else frames.flip(1)
        maps = self.stem((rgb - _CENTRE) / _SPREAD)
        taken = []
        for number, block in enumerate(self.blocks):
            maps = block(maps)
            if number in _TAPS:
                taken.append(maps)
        return BackboneFeatures(*taken)

    @torch.no_grad()
    def load_imagenet_weights(self, published: Mapping[str, Tensor]) -> None:
        """Take over the weights of a published EfficientNet-Lite0; KeyError or RuntimeError where they do not fit."""
        own: dict[str, Tensor] = {}
        for name in self.state_dict():
            if name.endswith(".weight"):
                layer = name.removesuffix(".weight")
                own[name], own[f"{layer}.bias"] = _folded(published, *_published_names(layer))
        self.load_state_dict(own)


class _Block(nn.Module):
    """Expand the channels, filter each of them, project (MobileNetV2's inverted residual, Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Sequential(*([nn.Conv2d(inputs, wide, 1), nn.ReLU6(inplace=True)] if expansion > 1 else []))
        self.filter = nn.Sequential(_SameConvolution(wide, wide, kernel, stride, groups=wide), nn.ReLU6(inplace=True))
        self.project = nn.Sequential(nn.Conv2d(wide, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, maps: Tensor) -> Tensor:
        projected: Tensor = self.project(self.filter(self.expand(maps)))
        return maps + projected if self.residual else projected


class _SameConvolution(nn.Conv2d):
    """Padded as TensorFlow does it: with stride 2 and even sizes, one pixel more at the far end than at the near."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1) -> None:
        near = (kernel - stride) // 2
        super().__init__(inputs, outputs, kernel, stride, near if stride == 1 else 0, groups=groups)
        self._near, self._far = near, kernel - stride - near

    def forward(self, maps: Tensor) -> Tensor:
        if self.stride[0] > 1:
            maps = functional.pad(maps, (self._near, self._far, self._near, self._far))
        return super().forward(maps)


def _folded(published: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a published convolution together with the batch normalisation behind it."""
    scale = published[f"{norm}.weight"] / (published[f"{norm}.running_var"] + _EPSILON).sqrt()
    bias = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
    return published[f"{convolution}.weight"] * scale[:, None, None, None], bias


# Published names of a block's layers: convolution and batch normalisation, by the name here.
_LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "filter": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}


def _published_names(layer: str) -> tuple[str, str]:
    """Names of a layer's convolution and batch normalisation in the published file.

    >>> _published_names("stem.0"), _published_names("blocks.4.project.0")
    (('_conv_stem', '_bn0'), ('_blocks.4._project_conv', '_blocks.4._bn2'))
    """
    first, *rest = layer.split(".")
    if first == "stem":
        return "_conv_stem", "_bn0"
    number, sequence, _ = rest
    convolution, norm = _LAYERS[sequence]
    return f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}"
