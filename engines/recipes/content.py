"""What of a frame counts, neither padding nor what a mask excludes, and how much.

What is masked has the same value, the fill, in every frame (`engines.images.areas.mask`), so its content can change
nothing; `FrameMask` leaves it out of heatmaps, of means and peaks, and of what the networks learn.

Where padding is, is found in the frame itself. The content is a rectangle (`engines.images.letterbox`). Its outermost
rows and columns have a pixel that differs from the padding by a gray level or more; every row and column between two
such is content, whatever its values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from engines.bundles import Normalisation
from engines.networks.latent_maps import FrameCrop

# A place of a coarse map counts if this share of its pixels is content.
_COUNTED_SHARE = 0.5

# A frame relative to itself has this standard deviation, 51 of 255 gray levels. The second, one gray level, is added to
# its own: less contrast than that is noise.
_RELATIVE_STD, _LEAST_STD = 0.4, 0.008


class FrameMask(nn.Module):
    """The mask of a bundle's view at the model's size. Its buffers are not part of `weights.npz`: the view has it."""

    def __init__(self) -> None:
        super().__init__()
        self.given = False
        """Whether there is a mask."""

    def use(self, inspected: NDArray[np.bool_], fill: tuple[int, ...], normalisation: Normalisation) -> None:
        """Take over a mask [H, W], True where a pixel of the frame counts, and the value of the others."""
        scale = 2.0 / (normalisation.high - normalisation.low)
        values = [(value - normalisation.low) * scale - 1.0 for value in fill]
        self.given = True
        pixels = torch.from_numpy(inspected.astype(np.float32))[None, None]
        self.register_buffer("_pixels", pixels, persistent=False)
        self.register_buffer("_fill", torch.tensor(values)[None, :, None, None], persistent=False)

    def pixels(self) -> Tensor:
        """Which pixels of a frame count: [1, 1, H, W], 1 or 0."""
        return self._buffer("_pixels")

    def filled(self, frames: Tensor) -> Tensor:
        """Normalised frames [N, C, H, W] with the fill in all pixels that do not count."""
        return torch.where(self.pixels() > 0, frames, self.fill()) if self.given else frames

    def fill(self) -> Tensor:
        """The fill, normalised: [1, C, 1, 1]."""
        return self._buffer("_fill")

    def in_crop(self, crop: FrameCrop, height: int, width: int) -> Tensor:
        """Which pixels of a training crop of this size count: float32 [1, 1, height, width], 1 or 0.

        A pixel of a halved frame counts if all of its four do.
        """
        rows, columns = self.pixels().shape[2:]
        top, left = round(crop.top * rows), round(crop.left * columns)
        part = self.pixels()[:, :, top : top + round(crop.height * rows), left : left + round(crop.width * columns)]
        return (functional.adaptive_avg_pool2d(part, (height, width)) == 1.0).float()

    def _buffer(self, name: str) -> Tensor:
        found: Any = getattr(self, name)
        assert isinstance(found, Tensor)
        return found


class PlaceFactors(nn.Module):
    """The sensitivity of a bundle's view at the model's size; no part of `weights.npz` either.

    It is given once the score is fitted: units stay those of frames in which all places count the same, so what a place
    with the factor 1 adds to the score is exactly what it adds without any region.
    """

    def __init__(self) -> None:
        super().__init__()
        self.given = False
        """Whether places count differently."""

    def use(self, factors: NDArray[np.float32]) -> None:
        """Take over how much each pixel of a frame counts, [H, W]."""
        self.given = True
        self.register_buffer("_gains", torch.from_numpy(factors - np.float32(1.0))[None, None], persistent=False)

    def applied(self, maps: Tensor, usual: float = 0.0) -> Tensor:
        """Maps [N, 1, h, w] whose differences from the `usual` value count by the factors of their places."""
        if not self.given:
            return maps
        gains: Any = self._gains
        at_places = functional.avg_pool2d(gains, gains.shape[2] // maps.shape[2])
        return maps + at_places * (maps - usual)


def find_content(frames: Tensor, padding: float, gray_level: float) -> Tensor:
    """Find the content of normalised frames [N, C, H, W]: [N, 1, H, W], 1 on content and 0 on padding.

    `padding` is the padding's value, and `gray_level` the distance of two gray levels, both normalised. A frame that is
    padding everywhere has no content.
    """
    differs = ((frames - padding).abs().amax(1, keepdim=True) > 0.5 * gray_level).float()
    return _between(differs.amax(3, keepdim=True), 2) * _between(differs.amax(2, keepdim=True), 3)


def counted(maps: Tensor, content: Tensor | None) -> Tensor:
    """Maps [N, C, h, w] with 0 in all places that do not count."""
    return maps if content is None else maps * places(content, maps)


def mean_of(maps: Tensor, content: Tensor | None) -> Tensor:
    """Mean of maps [N, 1, h, w] over the places with content: [N]."""
    if content is None:
        return maps.mean((1, 2, 3))
    at_places = places(content, maps)
    return (maps * at_places).sum((1, 2, 3)) / at_places.sum((1, 2, 3)).clamp(min=1.0)


def at_counted_places(maps: Tensor, content: Tensor | None) -> Tensor:
    """The values of maps [N, C, h, w] at the places that count, [K, C]."""
    rows = maps.permute(0, 2, 3, 1)
    if content is None:
        return rows.flatten(0, 2)
    return rows[(places(content, maps)[:, 0] > 0).expand(len(maps), -1, -1)]


def relative_to_itself(frames: Tensor, content: Tensor | None = None) -> Tensor:
    """Take the mean and the contrast of each frame [N, C, H, W] out of it; those of its content."""
    centred = frames - _mean_over_all(frames, content)
    spread = _mean_over_all(centred * centred, content).sqrt()
    return centred * (_RELATIVE_STD / (spread + _LEAST_STD))


def _mean_over_all(maps: Tensor, content: Tensor | None) -> Tensor:
    """Mean over channels and places with content: [N, 1, 1, 1]."""
    if content is None:
        return maps.mean((1, 2, 3), keepdim=True)
    return mean_of(maps.mean(1, keepdim=True), content)[:, None, None, None]


def places(content: Tensor, maps: Tensor) -> Tensor:
    """Which places of maps [N, C, h, w] count: [N, 1, h, w], 1 or 0; N is 1 where `content` is that of all frames.

    Where a mask leaves only a thin line, the places that show most of it count.
    """
    shares = functional.avg_pool2d(content, content.shape[2] // maps.shape[2])
    least = shares.amax((1, 2, 3), keepdim=True).clamp(1e-6, _COUNTED_SHARE)
    return (shares >= least).float()


def filled_at_random(maps: Tensor, content: Tensor | None, generator: torch.Generator) -> Tensor:
    """Maps [N, C, h, w] in which places that show padding have the features of random places with content.

    Statistics of places then say nothing about where padding usually is.
    """
    if content is None:
        return maps
    shown = (places(content, maps)[:, 0] > 0).expand(len(maps), -1, -1)
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
