"""Synthetic anomalies: a good frame goes in, the same frame with something wrong comes out, and a mask of where.

The networks never see a real defect, so they learn from these what "not good" looks like. Variety matters, realism does
not: every mask of `engines.recipes.anomaly_masks`, from two pixels to half a frame, filled in one of ten ways, from
faint to glaring. The idea is that of CutPaste (Li et al. 2021, section 2.2) and DRÆM (Zavrtanik et al. 2021, section
3.3), without their external texture images.

Frames are float32 [H, W, C], normalised. Strengths are in units of the frame's own standard deviation, so that the
faint shadows of an X-ray image and the black and white of a circuit board get anomalies of the same visibility.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.recipes.anomaly_masks import (
    AnomalyMask,
    MaskFunction,
    blob_mask,
    half_plane_mask,
    hill_mask,
    line_mask,
    log_uniform,
    patch_mask,
    smooth_noise,
    spot_mask,
    weighted_choice,
)

FrameArray = NDArray[np.float32]
"""One normalised frame, [H, W, C]."""
_Square = tuple[slice, slice]

# A frame with less contrast than this share of the set's (an empty board, a dark corner) gets anomalies as if it had
# this much.
_MIN_STD_SHARE = 0.25

# A change below this many standard deviations of the frame is invisible: not marked as an anomaly.
_VISIBLE = 0.08

# One more small anomaly for this many pixels of the longer side: a large frame has room for several.
_PIXELS_PER_ANOMALY = 40


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """Normalised grey values that an anomaly may have, measured on good frames."""

    low: float
    """Darkest value that a sensor can give."""
    high: float
    """Brightest value that a sensor can give."""
    std: float
    """Standard deviation of all values of good frames."""

    def std_of(self, frame: FrameArray) -> float:
        """Standard deviation of a frame, the unit of its anomalies; not less than a share of the set's."""
        return max(float(frame.std()), _MIN_STD_SHARE * self.std, 1e-3)


@dataclass(frozen=True, slots=True)
class _Region:
    """The part of a frame that gets an anomaly, and what a filling may use."""

    frame: FrameArray
    donor: FrameArray
    """The same part, or any other of the same size, of another good frame."""
    mask: AnomalyMask
    """Where the anomaly will be, 0 … 1."""
    std: float
    """Unit of strengths."""
    intensities: IntensityRange


Filling = Callable[[np.random.Generator, _Region], FrameArray]


def add_anomalies(
    rng: np.random.Generator, frame: FrameArray, donor: FrameArray, intensities: IntensityRange
) -> tuple[FrameArray, NDArray[np.bool_]]:
    """Add one anomaly anywhere in a good frame [H, W, C], and some more in small squares of it.

    `donor` is another good frame of the same shape. Returns a new frame and a mask [H, W] of where it visibly differs;
    the arguments do not change.
    """
    std = intensities.std_of(frame)
    anomalous = _add_one(rng, frame, donor, intensities, std, small=False)
    for _ in range(int(rng.integers(0, 2 + max(frame.shape[:2]) // _PIXELS_PER_ANOMALY))):
        side = _side(rng, frame)
        here, there = _textured_square(rng, frame, side), _random_square(rng, frame, side)
        anomalous[here] = _add_one(rng, anomalous[here], donor[there], intensities, std, small=True)
    return anomalous, np.abs(anomalous - frame).max(axis=2) > _VISIBLE * std


def _add_one(
    rng: np.random.Generator,
    frame: FrameArray,
    donor: FrameArray,
    intensities: IntensityRange,
    std: float,
    *,
    small: bool,
) -> FrameArray:
    filling, masks = weighted_choice(rng, _FILLINGS)
    draw_mask = weighted_choice(rng, masks)
    if small and draw_mask is half_plane_mask:
        draw_mask = patch_mask
    mask = draw_mask(rng, *frame.shape[:2])
    filled = filling(rng, _Region(frame, donor, mask, std, intensities))
    opacity = 1.0 if rng.random() < 0.6 else rng.uniform(0.3, 1.0)
    mixed = frame + np.float32(opacity) * mask[:, :, None] * (filled - frame)
    return np.asarray(np.clip(mixed, intensities.low, intensities.high), np.float32)


def _side(rng: np.random.Generator, frame: FrameArray) -> int:
    """Side of a square: 8 pixels to half the frame."""
    height, width = frame.shape[:2]
    return int(min(max(8.0, log_uniform(rng, 12.0, 0.5 * max(height, width))), height, width))


def _random_square(rng: np.random.Generator, frame: FrameArray, side: int) -> _Square:
    height, width = frame.shape[:2]
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return slice(y, y + side), slice(x, x + side)


def _textured_square(rng: np.random.Generator, frame: FrameArray, side: int) -> _Square:
    """A random square, or every other time the one of four with the most contrast.

    Only where there is structure can a hole be missing or an edge break.
    """
    if rng.random() < 0.5:
        return _random_square(rng, frame, side)
    return max((_random_square(rng, frame, side) for _ in range(4)), key=lambda square: float(frame[square].std()))


def _cut_from_donor(rng: np.random.Generator, region: _Region) -> FrameArray:
    """The same place of another good frame, or any place of it, rotated or mirrored."""
    return region.donor if rng.random() < 0.6 else _displaced(rng, region.donor)


def _cut_from_frame(rng: np.random.Generator, region: _Region) -> FrameArray:
    return _displaced(rng, region.frame)


def _constant(rng: np.random.Generator, region: _Region) -> FrameArray:
    """One value: one of the frame's own, the darkest, the brightest, or any; sometimes with grain."""
    height, width, channels = region.frame.shape
    own = region.frame[rng.integers(height), rng.integers(width)]
    low, high = region.intensities.low, region.intensities.high
    value = weighted_choice(rng, ((5, own), (1, low), (1, high), (3, rng.uniform(low, high, channels))))
    filled = np.zeros_like(region.frame) + np.asarray(value, np.float32)
    if rng.random() < 0.3:
        strength = log_uniform(rng, 0.05, 0.5) * region.std
        filled += np.float32(strength) * smooth_noise(rng, height, width, log_uniform(rng, 1.0, 8.0))[:, :, None]
    return filled


def _brightness(rng: np.random.Generator, region: _Region) -> FrameArray:
    """Darker or brighter by 0.1 to 3 standard deviations, with the structure kept: thin spots, fluids, shadows."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return np.asarray(region.frame + np.float32(sign * log_uniform(rng, 0.1, 3.0) * region.std), np.float32)


def _contrast(rng: np.random.Generator, region: _Region) -> FrameArray:
    """Weaker or stronger structure."""
    gain = log_uniform(rng, 1.5, 4.0) ** weighted_choice(rng, ((2, 1), (3, -1)))
    frame = region.frame
    mean = frame.mean(axis=(0, 1)) if rng.random() < 0.5 else _blurred(frame, 0.1 * max(region.mask.shape))
    return np.asarray(mean + (frame - mean) * np.float32(gain), np.float32)


def _noise(rng: np.random.Generator, region: _Region) -> FrameArray:
    """The frame with smooth or grainy noise added."""
    height, width = region.mask.shape
    noise = smooth_noise(rng, height, width, log_uniform(rng, 1.0, 0.1 * max(height, width) + 1.0))
    strength = np.float32(log_uniform(rng, 0.15, 2.0) * region.std)
    return np.asarray(region.frame + strength * noise[:, :, None], np.float32)


def _defocus(rng: np.random.Generator, region: _Region) -> FrameArray:
    return _blurred(region.frame, log_uniform(rng, 0.8, 0.08 * max(region.mask.shape) + 1.0))


def _inpainted(rng: np.random.Generator, region: _Region) -> FrameArray:
    """The surroundings continued over the mask, so that a hole or an edge is missing."""
    outside = (region.mask < 0.02).astype(np.float32)[:, :, None]
    sigma = max(1.5, log_uniform(rng, 0.02, 0.2) * max(region.mask.shape))
    weight = _blurred(outside, sigma)
    around = _blurred(region.frame * outside, sigma) / np.maximum(weight, 1e-3)
    filled = np.where(weight > 1e-3, around, region.frame.mean(axis=(0, 1)))
    return np.asarray(filled + _fine_texture(rng, region) if rng.random() < 0.7 else filled, np.float32)


def _structure_removed(rng: np.random.Generator, region: _Region) -> FrameArray:
    """Dark or bright structure up to some size removed: a hole that was never drilled, a missing ball of solder."""
    longest = max(region.mask.shape)
    side = 2 * round(log_uniform(rng, 1.0, 0.1 * longest + 1.0)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smooth = _blurred(region.frame, 1.0)
    operation = cv2.MORPH_CLOSE if rng.random() < 0.5 else cv2.MORPH_OPEN
    change = _with_channels(cv2.morphologyEx(smooth, operation, kernel), region.frame) - smooth
    share = np.clip(np.abs(change) / np.float32(0.25 * region.std) - 0.5, 0.0, 1.0)
    removed = region.frame + share * change
    if rng.random() < 0.5:
        removed = removed + share * _fine_texture(rng, region)
    return np.asarray(removed, np.float32)


def _fine_texture(rng: np.random.Generator, region: _Region) -> FrameArray:
    """The high frequencies of the frame, from another place."""
    displaced = _displaced(rng, region.frame)
    return displaced - _blurred(displaced, log_uniform(rng, 1.0, 4.0))


def _warped(rng: np.random.Generator, region: _Region) -> FrameArray:
    longest = max(region.mask.shape)
    amount = log_uniform(rng, 0.01 * longest + 0.5, 0.1 * longest + 1.0)
    return _elastic_warp(rng, region.frame, amount, longest * rng.uniform(0.1, 0.6))


def _elastic_warp(rng: np.random.Generator, frame: FrameArray, amount: float, cell: float) -> FrameArray:
    """Move every pixel by about `amount` pixels along a smooth random field with features `cell` pixels apart."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    columns += np.float32(amount) * smooth_noise(rng, height, width, cell)
    rows += np.float32(amount) * smooth_noise(rng, height, width, cell)
    return _with_channels(cv2.remap(frame, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), frame)


def _displaced(rng: np.random.Generator, frame: FrameArray) -> FrameArray:
    """The frame rolled to another place, sometimes mirrored or rotated."""
    turn = weighted_choice(rng, ((10, 0), (3, 1), (3, 2), (4, 3)))
    if turn == 1:
        frame = frame[:, ::-1]
    elif turn == 2:
        frame = frame[::-1]
    elif turn == 3:
        frame = np.rot90(frame, 2 if frame.shape[0] != frame.shape[1] else int(rng.integers(1, 4)))
    return np.roll(frame, (int(rng.integers(frame.shape[0])), int(rng.integers(frame.shape[1]))), (0, 1))


def _blurred(frame: FrameArray, sigma: float) -> FrameArray:
    return _with_channels(cv2.GaussianBlur(frame, (0, 0), sigma), frame)


def _with_channels(result: Any, like: FrameArray) -> FrameArray:
    """Restore the axis of a single channel, which OpenCV drops."""
    shaped: FrameArray = np.asarray(result, np.float32).reshape(like.shape)
    return shaped


_Masks = tuple[tuple[float, MaskFunction], ...]

_ANY: _Masks = ((25, patch_mask), (35, line_mask), (20, spot_mask), (20, blob_mask))
_LARGE: _Masks = ((45, patch_mask), (35, half_plane_mask), (20, blob_mask))
_COMPACT: _Masks = ((70, patch_mask), (10, half_plane_mask), (20, blob_mask))

# Weights, fillings and their masks. Pasting from other frames has the largest weight: only that teaches the networks
# about complete structures that do not belong together.
_FILLINGS: tuple[tuple[float, tuple[Filling, _Masks]], ...] = (
    (20, (_cut_from_donor, _LARGE)),
    (10, (_cut_from_frame, _COMPACT)),
    (15, (_constant, _ANY)),
    (20, (_brightness, _ANY)),
    (15, (_brightness, ((100, hill_mask),))),
    (5, (_contrast, _ANY)),
    (6, (_noise, _ANY)),
    (6, (_defocus, _COMPACT)),
    (10, (_inpainted, ((50, patch_mask), (20, line_mask), (15, spot_mask), (15, blob_mask)))),
    (8, (_warped, _COMPACT)),
    (12, (_structure_removed, ((60, patch_mask), (25, half_plane_mask), (15, blob_mask)))),
)
