"""The part of a frame that shows the image, found in the frame itself: padding never counts.

The content is a rectangle (`engines.images.letterbox`). Its outermost rows and columns have a pixel that differs from
the padding by a gray level or more; every row and column between two such is content, whatever its values.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# A place of a coarse map counts if this share of its pixels is content.
_COUNTED_SHARE = 0.5


def find_content(frames: Tensor, padding: float, gray_level: float) -> Tensor:
    """Find the content of normalised frames [N, C, H, W]: [N, 1, H, W], 1 on content and 0 on padding.

    `padding` is the padding's value, and `gray_level` the distance of two gray levels, both normalised. A frame that is
    padding everywhere has no content.
    """
    differs = ((frames - padding).abs().amax(1, keepdim=True) > 0.5 * gray_level).float()
    return _between(differs.amax(3, keepdim=True), 2) * _between(differs.amax(2, keepdim=True), 3)


def counted(maps: Tensor, content: Tensor | None) -> Tensor:
    """Maps [N, C, h, w] with 0 in all places that show padding."""
    return maps if content is None else maps * places(content, maps)


def mean_of(maps: Tensor, content: Tensor | None) -> Tensor:
    """Mean of maps [N, 1, h, w] over the places with content: [N]."""
    if content is None:
        return maps.mean((1, 2, 3))
    at_places = places(content, maps)
    return (maps * at_places).sum((1, 2, 3)) / at_places.sum((1, 2, 3)).clamp(min=1.0)


def places(content: Tensor, maps: Tensor) -> Tensor:
    """Which places of maps [N, C, h, w] count: [N, 1, h, w], 1 or 0."""
    stride = content.shape[2] // maps.shape[2]
    return (functional.avg_pool2d(content, stride) >= _COUNTED_SHARE).float()


def filled_at_random(maps: Tensor, content: Tensor | None, generator: torch.Generator) -> Tensor:
    """Maps [N, C, h, w] in which places that show padding have the features of random places with content.

    Statistics of places then say nothing about where padding usually is.
    """
    if content is None:
        return maps
    shown = places(content, maps)[:, 0] > 0
    rows = maps.permute(0, 2, 3, 1)
    found = rows[shown]
    if len(found) == 0:
        return maps
    chance = torch.randint(len(found), shown.shape, generator=generator)
    return torch.where(shown[..., None], rows, found[chance]).permute(0, 3, 1, 2).contiguous()


def _between(marked: Tensor, axis: int) -> Tensor:
    """1 from the first marked line to the last one, along an axis."""
    before = marked.cumsum(axis)
    after = before.narrow(axis, before.shape[axis] - 1, 1) - before + marked
    return torch.minimum(before, after).clamp(max=1.0)
