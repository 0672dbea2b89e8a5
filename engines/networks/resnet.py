"""ResNet up to its third layer: features at strides 4, 8 and 16, from weights that a person has.

The network is that of He et al. (2016), with the stride in the 3×3 convolution as torchvision and timm have it, and its
wide variant (Zagoruyko and Komodakis 2016). The names of the layers in those libraries' files are the names here. The
weights are frozen, and batch normalisation is folded into the convolutions when they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.networks.backbone import BackboneFeatures

# Mean and deviation of ImageNet in red, green and blue, of values 0 … 1, as torchvision and timm normalise.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_EPSILON = 1e-5


class ResNetKind(NamedTuple):
    """One architecture."""

    bottleneck: bool
    """Three convolutions a block, 1×1, 3×3 and 1×1; else two of 3×3."""
    blocks: tuple[int, int, int]
    """Of the first three layers."""
    width: int
    """Channels of the 3×3 convolutions of the first layer; twice as many in each further one."""
    outputs: tuple[int, int, int]
    """Channels of the three layers' features."""


KINDS = {
    "resnet18": ResNetKind(False, (2, 2, 2), 64, (64, 128, 256)),
    "resnet34": ResNetKind(False, (3, 4, 6), 64, (64, 128, 256)),
    "resnet50": ResNetKind(True, (3, 4, 6), 64, (256, 512, 1024)),
    "wide_resnet50_2": ResNetKind(True, (3, 4, 6), 128, (256, 512, 1024)),
}


class ResNet(nn.Module):
    """The network; frames in, features out. Batch normalisation is part of its convolutions."""

    def __init__(self, kind: str) -> None:
        """Build one of `KINDS`."""
        super().__init__()
        known = KINDS[kind]
        self.channels = (*known.outputs, known.outputs[2])
        """Channels of the four features: the last two are the first and the last block of the third layer."""
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs, layers = 64, []
        for level, (blocks, outputs) in enumerate(zip(known.blocks, known.outputs, strict=True)):
            layer = nn.ModuleList()
            for index in range(blocks):
                stride = 2 if level > 0 and index == 0 else 1
                layer.append(_Block(inputs, known.width << level, outputs, stride, bottleneck=known.bottleneck))
                inputs = outputs
            layers.append(layer)
        self.layer1, self.layer2, self.layer3 = layers
        self.register_buffer("mean", torch.tensor(_MEAN)[None, :, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[None, :, None, None], persistent=False)
        self.mean: Tensor
        self.std: Tensor
        for weight in self.parameters():
            weight.requires_grad_(False)

    def forward(self, frames: Tensor) -> BackboneFeatures:
        """Compute features of frames in −1 … 1, [N, 1 or 3 (BGR), H, W], H and W multiples of 16."""
        rgb = frames.expand(-1, 3, -1, -1) if frames.shape[1] == 1 else frames.flip(1)
        maps = self.pool(torch.relu(self.conv1(((rgb + 1.0) * 0.5 - self.mean) / self.std)))
        for block in self.layer1:
            maps = block(maps)
        stride4 = maps
        for block in self.layer2:
            maps = block(maps)
        stride8, deep = maps, []
        for block in self.layer3:
            maps = block(maps)
            deep.append(maps)
        return BackboneFeatures(stride4, stride8, deep[0], deep[-1])

    @torch.no_grad()
    def load_published(self, published: Mapping[str, Tensor]) -> None:
        """Take over weights by torchvision's names; ValueError, one line, if one is missing or of another shape."""
        own: dict[str, Tensor] = {}
        for name, value in self.state_dict().items():
            if name.endswith(".weight"):
                layer = name.removesuffix(".weight")
                weight = _tensor(published, name, value.shape)
                own[name], own[f"{layer}.bias"] = _folded(published, weight, _norm_of(layer))
        self.load_state_dict(own)


class _Block(nn.Module):
    """Two or three convolutions with a shortcut (He et al. 2016, section 3.3 and figure 5)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        if bottleneck:
            self.conv1 = nn.Conv2d(inputs, width, 1)
            self.conv2 = nn.Conv2d(width, width, 3, stride, 1)
            self.conv3: nn.Conv2d | None = nn.Conv2d(width, outputs, 1)
        else:
            self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1)
            self.conv2 = nn.Conv2d(width, outputs, 3, 1, 1)
            self.conv3 = None
        changes = stride != 1 or inputs != outputs
        self.downsample = nn.ModuleList([nn.Conv2d(inputs, outputs, 1, stride)] if changes else [])

    def forward(self, maps: Tensor) -> Tensor:
        shortcut = self.downsample[0](maps) if len(self.downsample) else maps
        inner = self.conv2(torch.relu(self.conv1(maps)))
        if self.conv3 is not None:
            inner = self.conv3(torch.relu(inner))
        return torch.relu(inner + shortcut)


def recognise(published: Mapping[str, Tensor]) -> str:
    """Name the architecture of weights from their names and shapes. ValueError, one line, if it is none of `KINDS`."""
    names = ", ".join(KINDS)
    if "layer1.0.conv1.weight" not in published:
        some = ", ".join(sorted(published)[:3]) or "no tensor"
        raise ValueError(f"the tensors are {some} …, wanted those of {names} as torchvision and timm name them")
    bottleneck = "layer1.0.conv3.weight" in published
    blocks = tuple(_count(published, f"layer{level}") for level in (1, 2, 3))
    width = len(published["layer1.0.conv1.weight"])
    for name, kind in KINDS.items():
        if (kind.bottleneck, kind.blocks, kind.width) == (bottleneck, blocks, width):
            return name
    kind_of = "bottleneck blocks" if bottleneck else "blocks"
    raise ValueError(
        f"it has {blocks[0]}, {blocks[1]} and {blocks[2]} {kind_of} of width {width}, wanted one of {names}"
    )


def _count(published: Mapping[str, Tensor], layer: str) -> int:
    return sum(name.startswith(f"{layer}.") and name.endswith(".conv1.weight") for name in published)


def _tensor(published: Mapping[str, Tensor], name: str, shape: torch.Size) -> Tensor:
    if name not in published:
        raise ValueError(f"{name} is missing")
    found = published[name]
    if found.shape != shape:
        raise ValueError(f"{name} is {_text(found.shape)}, wanted {_text(shape)}")
    if not found.is_floating_point() or not bool(found.isfinite().all()):
        raise ValueError(f"{name} is {found.dtype} or not finite, wanted finite floating-point numbers")
    return found.float()


def _folded(published: Mapping[str, Tensor], weight: Tensor, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution together with the batch normalisation behind it."""
    scale, offset, mean, variance = (
        _tensor(published, f"{norm}.{part}", weight.shape[:1])
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = scale / (variance.clamp(min=0.0) + _EPSILON).sqrt()
    return weight * factor[:, None, None, None], offset - mean * factor


def _norm_of(layer: str) -> str:
    """Name of the batch normalisation behind a convolution.

    >>> _norm_of("conv1"), _norm_of("layer2.0.conv3"), _norm_of("layer2.0.downsample.0")
    ('bn1', 'layer2.0.bn3', 'layer2.0.downsample.1')
    """
    if layer.endswith("downsample.0"):
        return layer.removesuffix("0") + "1"
    prefix, _, number = layer.rpartition("conv")
    return f"{prefix}bn{number}"


def _text(shape: torch.Size) -> str:
    return "×".join(map(str, shape)) or "a number"
