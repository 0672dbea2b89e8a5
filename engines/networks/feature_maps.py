"""Encoder → decoder → encoder on the features of a pretrained network instead of on pixels.

The same latent maps, identity embedding and losses as `engines.networks.latent_maps`. Frames go through a frozen
`Backbone` first; the first encoder describes its features, the decoder restores the features of the frame without
damage through the same two bottlenecks, and the second encoder describes those. Networks that see pixels learn from a
few hundred images what a pixel may mean; these features already describe it. `benchmarks/detection` has the figures.

Names of modules and buffers are the keys of `weights.npz` and the initialisers of the ONNX graph.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.networks.backbone import Backbone, BackboneFeatures
from engines.networks.latent_maps import (
    FULL_FRAME,
    FrameCrop,
    Latents,
    MapDecoder,
    MapEncoder,
    MapGenerator,
    halving_stage,
    mean_and_std,
)
from engines.networks.resnet import ResNet

# Channels of the encoders at strides 4, 8, 16 and 32.
_WIDTHS = (16, 32, 64, 96)
# Channels through which the decoder sees them; 0 means not at all.
_BOTTLENECKS = (0, 0, 12, 64)
# The backbone without a file of weights, by the name that manifests record for others.
DEFAULT_BACKBONE = "efficientnet_lite0"

_SLOPE = 0.1


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE, inplace=True)
    )


class FeatureEncoder(MapEncoder):
    """Features at strides 4, 8 and 16 → latent maps at strides 4 to 32, and an identity embedding."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Args: channels: of the features at strides 4, 8 and 16."""
        pointwise = [_pointwise(inputs, width) for inputs, width in zip(channels, _WIDTHS, strict=False)]
        super().__init__([*pointwise, halving_stage(*_WIDTHS[-2:], last=True)], _WIDTHS)

    def encode(self, inputs: list[Tensor], crop: FrameCrop = FULL_FRAME) -> list[Tensor]:
        """Compute features at strides 4, 8, 16 and 32 from standardised ones of the backbone, fine to coarse."""
        dtype = next(self.parameters()).dtype
        maps: list[Tensor] = [
            self.positions[level](self.stages[level](each.to(dtype)), crop) for level, each in enumerate(inputs)
        ]
        return [*maps, self.positions[-1](self.stages[-1](maps[-1]), crop)]


class FeatureDecoder(MapDecoder):
    """Features of the first encoder → features of the backbone, without the synthetic anomalies."""

    def __init__(self, channels: Sequence[int]) -> None:
        """Args: channels: of the features at strides 4, 8 and 16."""
        super().__init__(_WIDTHS, _BOTTLENECKS)
        self.draw = nn.ModuleList(
            nn.Conv2d(width, outputs, 1) for width, outputs in zip(_WIDTHS, channels, strict=False)
        )

    def restore(self, features: list[Tensor]) -> list[Tensor]:
        """Decode features at strides 4 to 32 into standardised features of the backbone, fine to coarse."""
        return [draw(maps) for draw, maps in zip(self.draw, self.joined(features), strict=False)]


class FeatureGenerator(MapGenerator):
    """The generator on pretrained features; `centre` and `spread` are theirs, [1, C, 1, 1]."""

    encoder1: FeatureEncoder
    encoder2: FeatureEncoder
    decoder: FeatureDecoder

    def __init__(self, backbone: str = DEFAULT_BACKBONE, enlarged: int = 1) -> None:
        """Build it on EfficientNet-Lite0, or on one of `engines.networks.resnet.KINDS`.

        It sees frames `enlarged` so many times; strides are of what it sees.
        """
        nn.Module.__init__(self)
        self._enlarged = enlarged
        self.backbone: Backbone | ResNet = Backbone() if backbone == DEFAULT_BACKBONE else ResNet(backbone)
        fine, middle, *coarse = self.backbone.channels
        self._channels = (fine, middle, sum(coarse))
        self.encoder1 = FeatureEncoder(self._channels)
        self.decoder = FeatureDecoder(self._channels)
        self.encoder2 = FeatureEncoder(self._channels)
        self.register_buffer("centre", torch.zeros(1, sum(self._channels), 1, 1))
        self.register_buffer("spread", torch.ones(1, sum(self._channels), 1, 1))

    def half(self) -> FeatureGenerator:
        """Convert to float16, except for identity embeddings and scale, whose rounding would change verdicts."""
        centre, spread = self.centre, self.spread
        identities = [copy.deepcopy(encoder.identity) for encoder in (self.encoder1, self.encoder2)]
        nn.Module.half(self)
        self.centre, self.spread = centre, spread
        for encoder, identity in zip((self.encoder1, self.encoder2), identities, strict=True):
            encoder.identity = identity
        return self

    def features(self, frames: Tensor) -> BackboneFeatures:
        """Compute the backbone's features of normalised frames [N, C, H, W]; no gradient flows through them."""
        with torch.no_grad():
            if self._enlarged > 1:
                frames = functional.interpolate(
                    frames, scale_factor=float(self._enlarged), mode="bilinear", align_corners=False
                )
            features: BackboneFeatures = self.backbone(frames.to(next(self.backbone.parameters()).dtype))
        return features

    def inputs(self, frames: Tensor) -> list[Tensor]:
        return self.standardised(self.features(frames))

    def standardised(self, features: BackboneFeatures) -> list[Tensor]:
        """Features at strides 4, 8 and 16 in units of the good frames' mean and deviation, float32."""
        centres, spreads = (torch.split(scale, list(self._channels), 1) for scale in (self.centre, self.spread))
        return [
            (maps.float() - centre) / spread
            for maps, centre, spread in zip(_levels(features), centres, spreads, strict=True)
        ]

    def measure(self, frames: Tensor) -> Tensor:
        return torch.cat([mean_and_std(maps.float()) for maps in _levels(self.features(frames))], 2)

    def forward(self, frames: Tensor, crop: FrameCrop = FULL_FRAME, content: Tensor | None = None) -> Latents:
        return self.latents(self.inputs(frames), crop, content)

    def latents(self, inputs: list[Tensor], crop: FrameCrop = FULL_FRAME, content: Tensor | None = None) -> Latents:
        """Compute all latents from standardised features, as `standardised` returns them."""
        features = self.encoder1.encode(inputs, crop)
        restored = self.decoder.restore(features)
        restored_features = self.encoder2.encode(restored, crop)
        return Latents(
            self.encoder1.latent_maps(features),
            self.encoder2.latent_maps(restored_features),
            restored,
            self.encoder1.embed_identity(features, content),
            self.encoder2.embed_identity(restored_features, content),
            inputs[0],
        )

    def encode(self, frames: Tensor, crop: FrameCrop = FULL_FRAME) -> list[Tensor]:
        return self.encoder1.latent_maps(self.encoder1.encode(self.inputs(frames), crop))

    def embed_identity(self, frames: Tensor, crop: FrameCrop = FULL_FRAME) -> Tensor:
        return self.encoder1.embed_identity(self.encoder1.encode(self.inputs(frames), crop))


def _levels(features: BackboneFeatures) -> tuple[Tensor, Tensor, Tensor]:
    """The features by stride: 4, 8 and 16."""
    return features.stride4, features.stride8, torch.cat([features.stride16, features.context], 1)
