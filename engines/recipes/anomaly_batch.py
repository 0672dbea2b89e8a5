"""From a batch of good frames to a training batch: cropped, jittered, with synthetic anomalies in most frames."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.networks.latent_maps import FrameCrop
from engines.recipes.augmentation import jitter
from engines.recipes.synthetic_anomalies import FrameArray, IntensityRange, add_anomalies

# Pixels that one step trains on, by their number per frame.
PIXELS_PER_STEP = 8 * 256 * 256

# Share of the frames that get synthetic anomalies.
_ANOMALOUS_SHARE = 0.75

# Visibility of a change, in units of the contrast around it: below the first it counts next to nothing, from the
# second on fully. Measured with the first encoder alone, one run each of 100 seconds on the simulated plate: the
# highest good frame was 2.0 times the median (510 steps), 3.4 times when every difference counted fully (811 steps).
_FAINT, _PLAIN = 0.1, 0.4
# Below this many units a pixel counts as unchanged.
_UNCHANGED = 0.02

# Contrast around a place is measured in windows of this part of the longer side; twice that is the unit of visibility
# where frames are evener than the whole set, but no less than this share of the set's contrast.
_SURROUNDINGS, _SURROUNDING_FACTOR, _LEAST_SHARE = 8, 2.0, 0.25

# Share of the training in which large frames are halved, and the shorter side from which frames are large. On the
# simulated plate the first 100 steps took the anomaly loss at stride 8 to 1.21 halved and to 1.27 at full size.
_HALVED_UNTIL, _MIN_HALVED_SIDE = 0.4, 128

# Larger frames are trained on in crops of this many pixels a side, so that a step takes no longer; the encoders get the
# position of the crop. Offsets are multiples of the coarsest stride.
CROP_SIDE, _CROP_STEP = 256, 32


class AnomalyBatch(NamedTuple):
    """One training batch; all tensors have the same N, H and W."""

    clean: Tensor
    """Jittered good frames [N, C, H, W], normalised."""
    anomalous: Tensor
    """The same frames, most of them with synthetic anomalies."""
    visibility: Tensor
    """How visible the anomaly is at each pixel, [N, 1, H, W] in 0 … 1."""
    counted: Tensor | None = None
    """Which pixels are neither padding nor masked, [N or 1, 1, H, W], 1 or 0; None: all of them."""

    def inspected(self, pixels: Tensor, fill: Tensor | float) -> AnomalyBatch:
        """The batch without what is masked or padding: `pixels` [N or 1, 1, H, W] is 1 where a pixel counts.

        `fill` is the value of the others, a number or [1, C, 1, 1].
        """
        clean, anomalous = (torch.where(pixels > 0, frames, fill) for frames in (self.clean, self.anomalous))
        counted = pixels if self.counted is None else self.counted * pixels
        return AnomalyBatch(clean, anomalous, self.visibility * pixels, counted)

    def counted_at(self, maps: Tensor) -> Tensor | None:
        """Which places of maps [N, C, h, w] count: [N or 1, 1, h, w], 1 or 0; None: all of them."""
        if self.counted is None:
            return None
        height, width = maps.shape[-2:]
        return functional.adaptive_avg_pool2d(self.counted, (height, width)).round()


def make_anomaly_batch(
    frames: Tensor, intensities: IntensityRange, rng: np.random.Generator, content: Tensor | None = None
) -> AnomalyBatch:
    """Jitter normalised good frames [N, C, H, W] and add synthetic anomalies to most of them.

    With `content` [N, 1, H, W], 1 on a rectangle of each frame, only that is jittered: padding stays where it is.
    """
    good = frames.permute(0, 2, 3, 1).cpu().numpy()
    clean = [
        jitter(rng, frame, intensities) if content is None else _jittered_inside(rng, frame, intensities, inside)
        for frame, inside in zip(good, good if content is None else content[:, 0].cpu().numpy(), strict=True)
    ]
    anomalous = list(clean)
    for index in np.flatnonzero(rng.random(len(good)) < _ANOMALOUS_SHARE):
        donor = clean[int(rng.integers(len(clean)))]
        anomalous[index], _ = add_anomalies(rng, clean[index], donor, intensities)
    before, after = _as_batch(clean, frames.device), _as_batch(anomalous, frames.device)
    change = (after - before).abs().amax(1, keepdim=True)
    return AnomalyBatch(before, after, visibility_of(change, before, intensities.std))


def _jittered_inside(
    rng: np.random.Generator, frame: FrameArray, intensities: IntensityRange, content: FrameArray
) -> FrameArray:
    rows, columns = (np.flatnonzero(content.any(axis)) for axis in (1, 0))
    jittered: FrameArray = frame.copy()
    if len(rows):
        inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        jittered[inside] = jitter(rng, np.ascontiguousarray(frame[inside]), intensities)
    return jittered


def training_crop(frames: Tensor, progress: float, rng: np.random.Generator) -> tuple[Tensor, FrameCrop]:
    """Choose what a step trains on: frames [N, C, H, W] halved early in the training, and a crop of large ones.

    Many small frames teach sooner what an anomaly is; large ones, what it looks like at full size. Frames are repeated
    as often as makes up for the pixels lost, so that a step takes as long as before. `progress` runs from 0 to 1.
    """
    pixels = min(frames.numel() // frames.shape[1], PIXELS_PER_STEP)
    if progress < _HALVED_UNTIL and min(frames.shape[-2:]) >= _MIN_HALVED_SIDE:
        frames = functional.avg_pool2d(frames, 2)
    height, width = frames.shape[-2:]
    crop_height, crop_width = min(height, CROP_SIDE), min(width, CROP_SIDE)
    top, left = (
        _CROP_STEP * int(rng.integers((whole - part) // _CROP_STEP + 1)) if whole > part else 0
        for whole, part in ((height, crop_height), (width, crop_width))
    )
    cropped = frames[:, :, top : top + crop_height, left : left + crop_width]
    times = max(1, pixels // (len(cropped) * crop_height * crop_width)) if progress < _HALVED_UNTIL else 1
    crop = FrameCrop(top / height, left / width, crop_height / height, crop_width / width)
    return cropped.repeat(times, 1, 1, 1), crop


def _surrounding_contrast(frames: Tensor, std: float) -> Tensor:
    """The unit of visibility around each pixel of frames [N, C, H, W]: [N, 1, H, W], at most `std`.

    A change of a few gray levels is plain where everything around it is even, and invisible in a coarse texture.
    """
    side = 2 * (max(frames.shape[-2:]) // _SURROUNDINGS // 2) + 1
    gray = frames.mean(1, keepdim=True)
    mean, square = (
        functional.avg_pool2d(maps, side, 1, side // 2, count_include_pad=False) for maps in (gray, gray * gray)
    )
    local = (square - mean * mean).clamp(min=0.0).sqrt()
    return (_SURROUNDING_FACTOR * local).clamp(_LEAST_SHARE * std, std)


def visibility_of(change: Tensor, frames: Tensor, std: float) -> Tensor:
    """Visibility of a change [N, 1, H, W] of frames [N, C, H, W]: 0 where there is none, then 0.001 to 1.

    `std` is the standard deviation of the set.
    """
    units = change / _surrounding_contrast(frames, std)
    visibility = ((units - _FAINT) / (_PLAIN - _FAINT)).clamp(1e-3, 1.0)
    return torch.where(units > _UNCHANGED, visibility, torch.zeros_like(visibility))


def _as_batch(frames: list[Any], device: torch.device) -> Tensor:
    """Frames [H, W, C] → [N, C, H, W] on the device, in the memory layout that is fastest for convolutions."""
    stacked = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2))
    return stacked.to(device).contiguous(memory_format=torch.channels_last)
