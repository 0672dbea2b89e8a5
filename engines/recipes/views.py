"""How a good frame may vary and still be good: a little, as parts lie on a line, and a lot, as learning needs it."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.recipes.damage import Frame, Palette

# How far a part may lie off, zoom and light may change without being a defect: 3 % of the frame, 3 %, 3 %.
_PLAY = 0.03

# How far views go, either way: turned (radians, 17°), sheared, zoomed and stretched (logarithms: 22 and 16 %), moved
# (of the frame), bent (of the longer side, with features a fifth of it apart).
_TURN, _SHEAR, _ZOOM, _STRETCH, _MOVE = 0.3, 0.35, 0.2, 0.15, 0.06
_BEND, _BENDS = 0.035, 5

# Share of views that are softer, and share that are bolder; the largest square that is hidden, of the longer side.
_SOFT, _BOLD, _HIDDEN = 0.3, 0.2, 0.4

# Change of light: gain, and offset in standard deviations of good frames.
_LIGHT = 0.1


def jitter(rng: np.random.Generator, frame: Frame, palette: Palette) -> Frame:
    """Shift, zoom and light a good frame [H, W, C] within `_PLAY`: what the networks must take for sound."""
    height, width = frame.shape[:2]
    zoom, gain = 1.0 + rng.uniform(-_PLAY, _PLAY, 2)
    shift = rng.uniform(-_PLAY, _PLAY, 2) * (width, height)
    if rng.random() < 0.7:
        middle = (1.0 - zoom) / 2 * np.array([width, height]) + shift
        matrix = np.array([[zoom, 0.0, middle[0]], [0.0, zoom, middle[1]]])
        moved: Any = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frame = np.asarray(moved, np.float32).reshape(frame.shape)
    offset = palette.spread * rng.uniform(-_PLAY, _PLAY)
    return np.asarray(np.clip(frame * np.float32(gain) + np.float32(offset), palette.low, palette.high), np.float32)


@torch.no_grad()
def views(frames: Tensor, spread: float, generator: torch.Generator) -> Tensor:
    """The same parts seen very differently: turned, sheared, zoomed, bent, thicker or softer, with a piece hidden.

    Frames [N, C, H, W], float32; `spread` is the standard deviation of good frames, `generator` one of the CPU. Returns
    new frames of the same shape on the same device, each altered in its own way. A whole batch at once: frame by frame
    in NumPy, the views of 64 frames of 32 pixels took longer than everything that is learned from them.
    """
    seen = functional.grid_sample(
        frames, _seen_from(frames, generator), padding_mode="border", align_corners=False, mode="bilinear"
    )
    seen = _hidden(_bolder_or_softer(seen, generator), frames, generator)
    gain, offset = (_LIGHT * _either_way(len(frames), generator).to(frames.device) for _ in range(2))
    return seen * (1.0 + gain)[:, None, None, None] + spread * offset[:, None, None, None]


def _either_way(count: int, generator: torch.Generator) -> Tensor:
    """Random numbers [count] between -1 and 1."""
    return 2.0 * torch.rand(count, generator=generator) - 1.0


def _seen_from(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Where to look each pixel up [N, H, W, 2], as columns and rows from -1 to 1 over the frame."""
    count, _, height, width = frames.shape
    longest = max(height, width)
    angle, shear, zoom, stretch = (far * _either_way(count, generator) for far in (_TURN, _SHEAR, _ZOOM, _STRETCH))
    zoom, stretch = zoom.exp(), stretch.exp()
    across = torch.stack([zoom * stretch * angle.cos(), zoom * (shear - angle.sin())], 1)
    down = torch.stack([zoom * angle.sin(), zoom * angle.cos() / stretch], 1)
    places = torch.stack(torch.meshgrid(_centred(width), _centred(height), indexing="xy"))
    moved = [_MOVE * side * _either_way(count, generator)[:, None, None] for side in (width, height)]
    cells = [math.ceil(_BENDS * side / longest) + 2 for side in (height, width)]
    bends = functional.interpolate(
        torch.randn((count, 2, *cells), generator=generator), (height, width), mode="bicubic", align_corners=False
    )
    looked_up = [
        torch.einsum("nk,khw->nhw", turned, places) + shift + _BEND * longest * bend
        for turned, shift, bend in zip((across, down), moved, bends.unbind(1), strict=True)
    ]
    scaled = [pixels * (2.0 / side) for pixels, side in zip(looked_up, (width, height), strict=True)]
    return torch.stack(scaled, dim=3).to(frames.device)


def _centred(side: int) -> Tensor:
    """Pixel centres, counted from the middle."""
    return torch.arange(side, dtype=torch.float32) - (side - 1) / 2


def _bolder_or_softer(seen: Tensor, generator: torch.Generator) -> Tensor:
    kind = torch.rand(len(seen), generator=generator).to(seen.device)[:, None, None, None]
    around = functional.pad(seen, (1, 1, 1, 1), mode="replicate")
    soft = functional.avg_pool2d(around, 3, 1)
    bold = 0.5 * seen + 0.5 * functional.max_pool2d(around, 3, 1)
    return torch.where(kind < _SOFT, soft, torch.where(kind > 1.0 - _BOLD, bold, seen))


def _hidden(seen: Tensor, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Views with a square covered in one of the frame's own values."""
    count, channels, height, width = frames.shape
    half = 0.5 * _HIDDEN * max(height, width) * torch.rand((count, 1), generator=generator)
    rows, columns = (
        (torch.arange(side) - side * torch.rand((count, 1), generator=generator)).abs() < half
        for side in (height, width)
    )
    place = torch.randint(height * width, (count, 1, 1), generator=generator).expand(-1, channels, -1)
    value = frames.flatten(2).gather(2, place.to(frames.device))[..., None]
    covered = (rows[:, None, :, None] & columns[:, None, None, :]).to(frames.device)
    return torch.where(covered, value, seen)
