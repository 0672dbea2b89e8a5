"""Augmentation of good frames: slight, as parts vary on a line, and strong, for contrastive learning."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.recipes.synthetic_anomalies import FrameArray, IntensityRange

# Shift, zoom and change of light that are no defect: up to 3 % of the frame, 3 % and 3 %, either way.
_JITTER = 0.03

# Limits of views, either way: rotation (radians, 17°), shear, zoom and stretch (logarithms: 22 and 16 %), shift (of the
# frame), elastic warp (of the longer side; this many features along it).
_ROTATION, _SHEAR, _ZOOM, _STRETCH, _SHIFT = 0.3, 0.35, 0.2, 0.15, 0.06
_WARP, _WARP_FEATURES = 0.035, 5

# Share of views that are blurred, and share that are dilated; largest hidden square, of the longer side.
_BLURRED, _DILATED, _HIDDEN = 0.3, 0.2, 0.4

# Change of light: gain, and offset in standard deviations of good frames.
_LIGHT = 0.1


class Turn(Enum):
    """The seven ways to flip and rotate a frame by right angles; the value: transposed or not, then flipped along."""

    MIRRORED = (False, (3,))
    UPSIDE_DOWN = (False, (2,))
    HALF = (False, (2, 3))
    QUARTER = (True, (2,))
    BACK = (True, (3,))
    TRANSPOSED = (True, ())
    OTHER_DIAGONAL = (True, (2, 3))

    def of(self, frames: Tensor) -> Tensor:
        """Turn frames [N, C, H, W]; half of the ways exchange H and W."""
        transposed, axes = self.value
        turned = frames.transpose(2, 3) if transposed else frames
        return turned.flip(axes) if axes else turned.contiguous()


def told_apart(first: Tensor, second: Tensor) -> float:
    """The largest AUROC by which one of several values [N, K] is higher in the second frames than in the first.

    >>> told_apart(torch.tensor([[1.0], [2.0]]), torch.tensor([[2.0], [3.0]]))
    0.875
    """
    difference = second[:, None] - first[None]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean((0, 1)).max())


def jitter(rng: np.random.Generator, frame: FrameArray, intensities: IntensityRange) -> FrameArray:
    """Shift, zoom and relight a normalised frame [H, W, C] within `_JITTER`: variation that is still normal."""
    height, width = frame.shape[:2]
    zoom, gain = 1.0 + rng.uniform(-_JITTER, _JITTER, 2)
    shift = rng.uniform(-_JITTER, _JITTER, 2) * (width, height)
    if rng.random() < 0.7:
        offset = (1.0 - zoom) / 2 * np.array([width, height]) + shift
        matrix = np.array([[zoom, 0.0, offset[0]], [0.0, zoom, offset[1]]])
        moved: Any = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frame = np.asarray(moved, np.float32).reshape(frame.shape)
    light = intensities.std * rng.uniform(-_JITTER, _JITTER)
    relit = frame * np.float32(gain) + np.float32(light)
    return np.asarray(np.clip(relit, intensities.low, intensities.high), np.float32)


@torch.no_grad()
def random_view(frames: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Draw a strongly augmented view of each frame: rotated, sheared, zoomed, warped, blurred, partly hidden.

    Frames are normalised, float32 [N, C, H, W]; `std` is the standard deviation of good frames, `generator` one of the
    CPU. Returns new frames of the same shape on the same device, each altered in its own way. The whole batch is
    processed at once: frame by frame in NumPy, the views of 64 frames of 32 pixels took longer than the training step
    that used them.
    """
    views = functional.grid_sample(
        frames, _sampling_grid(frames, generator), padding_mode="border", align_corners=False, mode="bilinear"
    )
    views = _partly_hidden(_dilated_or_blurred(views, generator), frames, generator)
    gain, offset = (_LIGHT * _symmetric_uniform(len(frames), generator).to(frames.device) for _ in range(2))
    return views * (1.0 + gain)[:, None, None, None] + std * offset[:, None, None, None]


def _symmetric_uniform(count: int, generator: torch.Generator) -> Tensor:
    """Random numbers [count] between -1 and 1."""
    return 2.0 * torch.rand(count, generator=generator) - 1.0


def _sampling_grid(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Where each pixel is sampled from, [N, H, W, 2]: x and y from -1 to 1 over the frame."""
    count, _, height, width = frames.shape
    longest = max(height, width)
    angle, shear, zoom, stretch = (
        limit * _symmetric_uniform(count, generator) for limit in (_ROTATION, _SHEAR, _ZOOM, _STRETCH)
    )
    zoom, stretch = zoom.exp(), stretch.exp()
    to_x = torch.stack([zoom * stretch * angle.cos(), zoom * (shear - angle.sin())], 1)
    to_y = torch.stack([zoom * angle.sin(), zoom * angle.cos() / stretch], 1)
    pixels = torch.stack(torch.meshgrid(_centred(width), _centred(height), indexing="xy"))
    shifts = [_SHIFT * side * _symmetric_uniform(count, generator)[:, None, None] for side in (width, height)]
    cells = [math.ceil(_WARP_FEATURES * side / longest) + 2 for side in (height, width)]
    warps = functional.interpolate(
        torch.randn((count, 2, *cells), generator=generator), (height, width), mode="bicubic", align_corners=False
    )
    sources = [
        torch.einsum("nk,khw->nhw", linear, pixels) + shift + _WARP * longest * warp
        for linear, shift, warp in zip((to_x, to_y), shifts, warps.unbind(1), strict=True)
    ]
    scaled = [source * (2.0 / side) for source, side in zip(sources, (width, height), strict=True)]
    return torch.stack(scaled, dim=3).to(frames.device)


def _centred(side: int) -> Tensor:
    """Pixel centres, counted from the middle."""
    return torch.arange(side, dtype=torch.float32) - (side - 1) / 2


def _dilated_or_blurred(views: Tensor, generator: torch.Generator) -> Tensor:
    kind = torch.rand(len(views), generator=generator).to(views.device)[:, None, None, None]
    padded = functional.pad(views, (1, 1, 1, 1), mode="replicate")
    blurred = functional.avg_pool2d(padded, 3, 1)
    dilated = 0.5 * views + 0.5 * functional.max_pool2d(padded, 3, 1)
    return torch.where(kind < _BLURRED, blurred, torch.where(kind > 1.0 - _DILATED, dilated, views))


def _partly_hidden(views: Tensor, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a square of each view with one of the frame's own values."""
    count, channels, height, width = frames.shape
    half = 0.5 * _HIDDEN * max(height, width) * torch.rand((count, 1), generator=generator)
    rows, columns = (
        (torch.arange(side) - side * torch.rand((count, 1), generator=generator)).abs() < half
        for side in (height, width)
    )
    place = torch.randint(height * width, (count, 1, 1), generator=generator).expand(-1, channels, -1)
    value = frames.flatten(2).gather(2, place.to(frames.device))[..., None]
    covered = (rows[:, None, :, None] & columns[:, None, None, :]).to(frames.device)
    return torch.where(covered, value, views)
