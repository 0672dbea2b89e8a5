"""The pretrained features that PatchCore and PaDiM share with our default recipe, so that methods are compared."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from engines.networks.backbone import Backbone
from engines.recipes.imagenet_weights import imagenet_weights


def pretrained_backbone() -> Backbone:
    """The backbone with its published weights; TrainingError if they are not installed."""
    backbone = Backbone()
    backbone.load_imagenet_weights(imagenet_weights().load())
    return backbone.eval()


def joined_features(levels: Sequence[Tensor]) -> Tensor:
    """Average maps [N, C, h, w] over 3×3 places, enlarge them to the first and join their channels."""
    averaged = [functional.avg_pool2d(maps, 3, 1, 1, count_include_pad=False) for maps in levels]
    size = averaged[0].shape[-2:]
    coarse = [functional.interpolate(maps, size=size, mode="bilinear", align_corners=False) for maps in averaged[1:]]
    return torch.cat([averaged[0], *coarse], 1)
