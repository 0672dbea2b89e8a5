"""Synthetic damage: a good frame goes in, the same frame with something wrong comes out, and where it is wrong.

The networks learn from it what "not good" looks like, since they never see a defect. What matters is variety and not
likeness: every shape of `engines.recipes.shapes`, from two pixels to half a frame, filled in one of ten ways, from
faint to
glaring. The idea is that of CutPaste (Li et al. 2021, section 2.2) and DRÆM (Zavrtanik et al. 2021, section 3.3),
without their outside textures.

Frames are float32 [H, W, C], normalised. Strengths are in units of the frame's own standard deviation, so that the
faint shadows of an X-ray picture and the black and white of a circuit board are damaged alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.recipes.shapes import Mask, Shape, blob, field, half, line, log_uniform, patch, pick, spots

Frame = NDArray[np.float32]
_Window = tuple[slice, slice]

# A frame flatter than this share of the set's spread (an empty board, a dark corner) is damaged as if it were not.
_LEAST_SPREAD_SHARE = 0.25

# A change below this many standard deviations of the frame is no damage that anybody could be asked to find.
_VISIBLE = 0.08

# One more small damage for so many pixels of the longer side: a large frame has room for several lessons.
_PIXELS_PER_DAMAGE = 40


@dataclass(frozen=True, slots=True)
class Palette:
    """What damage may use: measured on good frames."""

    low: float
    """Darkest value that a sensor can give, normalised."""
    high: float
    """Brightest value."""
    spread: float
    """Standard deviation of all values of good frames."""

    def spread_of(self, frame: Frame) -> float:
        """Standard deviation that damage of this frame is measured by."""
        return max(float(frame.std()), _LEAST_SPREAD_SHARE * self.spread, 1e-3)


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a filling may draw from."""

    frame: Frame
    """The part of the frame that is being damaged."""
    donor: Frame
    """The same part, or any other, of another good frame."""
    mask: Mask
    """Where the damage will be, 0 … 1."""
    spread: float
    palette: Palette


Filling = Callable[[np.random.Generator, _Scene], Frame]


def damage(rng: np.random.Generator, frame: Frame, donor: Frame, palette: Palette) -> tuple[Frame, NDArray[np.bool_]]:
    """Damage a good frame [H, W, C] once anywhere and some more times in small windows; `donor` is another good frame.

    Returns a new frame and where it visibly differs [H, W]. The arguments are left as they are.
    """
    spread = palette.spread_of(frame)
    damaged = _damage_part(rng, frame, donor, palette, spread, small=False)
    for _ in range(int(rng.integers(0, 2 + max(frame.shape[:2]) // _PIXELS_PER_DAMAGE))):
        side = _side(rng, frame)
        here, there = _eventful(rng, frame, side), _window(rng, frame, side)
        damaged[here] = _damage_part(rng, damaged[here], donor[there], palette, spread, small=True)
    return damaged, np.abs(damaged - frame).max(axis=2) > _VISIBLE * spread


def _damage_part(
    rng: np.random.Generator, frame: Frame, donor: Frame, palette: Palette, spread: float, *, small: bool
) -> Frame:
    filling, shapes = pick(rng, _FILLINGS)
    shape = pick(rng, shapes)
    if small and shape is half:
        shape = patch
    mask = shape(rng, *frame.shape[:2])
    filled = filling(rng, _Scene(frame, donor, mask, spread, palette))
    opacity = 1.0 if rng.random() < 0.6 else rng.uniform(0.3, 1.0)
    mixed = frame + np.float32(opacity) * mask[:, :, None] * (filled - frame)
    return np.asarray(np.clip(mixed, palette.low, palette.high), np.float32)


def _side(rng: np.random.Generator, frame: Frame) -> int:
    """Side of a window: 8 pixels to half the frame."""
    height, width = frame.shape[:2]
    return int(min(max(8.0, log_uniform(rng, 12.0, 0.5 * max(height, width))), height, width))


def _window(rng: np.random.Generator, frame: Frame, side: int) -> _Window:
    height, width = frame.shape[:2]
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    return slice(y, y + side), slice(x, x + side)


def _eventful(rng: np.random.Generator, frame: Frame, side: int) -> _Window:
    """A window, every other time the one of four with the most going on: a hole can be missing there, an edge break."""
    if rng.random() < 0.5:
        return _window(rng, frame, side)
    return max((_window(rng, frame, side) for _ in range(4)), key=lambda window: float(frame[window].std()))


def _other_frame(rng: np.random.Generator, scene: _Scene) -> Frame:
    """The same place of another good frame, or any place of it, turned or mirrored."""
    return scene.donor if rng.random() < 0.6 else _moved(rng, scene.donor)


def _own_frame(rng: np.random.Generator, scene: _Scene) -> Frame:
    return _moved(rng, scene.frame)


def _flat(rng: np.random.Generator, scene: _Scene) -> Frame:
    """One value: one of the frame's own, the darkest, the brightest, or any; now and then grainy."""
    height, width, channels = scene.frame.shape
    own = scene.frame[rng.integers(height), rng.integers(width)]
    low, high = scene.palette.low, scene.palette.high
    value = pick(rng, ((5, own), (1, low), (1, high), (3, rng.uniform(low, high, channels))))
    filled = np.zeros_like(scene.frame) + np.asarray(value, np.float32)
    if rng.random() < 0.3:
        strength = log_uniform(rng, 0.05, 0.5) * scene.spread
        filled += np.float32(strength) * field(rng, height, width, log_uniform(rng, 1.0, 8.0))[:, :, None]
    return filled


def _shade(rng: np.random.Generator, scene: _Scene) -> Frame:
    """Darker or brighter by 0.1 to 3 standard deviations, structure kept: thin spots, fluids, shadows."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    return np.asarray(scene.frame + np.float32(sign * log_uniform(rng, 0.1, 3.0) * scene.spread), np.float32)


def _contrast(rng: np.random.Generator, scene: _Scene) -> Frame:
    """Structure weaker or stronger than it was."""
    gain = log_uniform(rng, 1.5, 4.0) ** pick(rng, ((2, 1), (3, -1)))
    middle = scene.frame.mean(axis=(0, 1)) if rng.random() < 0.5 else _blurred(scene.frame, 0.1 * max(scene.mask.shape))
    return np.asarray(middle + (scene.frame - middle) * np.float32(gain), np.float32)


def _texture(rng: np.random.Generator, scene: _Scene) -> Frame:
    """Smooth or grainy noise on top."""
    height, width = scene.mask.shape
    noise = field(rng, height, width, log_uniform(rng, 1.0, 0.1 * max(height, width) + 1.0))
    strength = np.float32(log_uniform(rng, 0.15, 2.0) * scene.spread)
    return np.asarray(scene.frame + strength * noise[:, :, None], np.float32)


def _out_of_focus(rng: np.random.Generator, scene: _Scene) -> Frame:
    return _blurred(scene.frame, log_uniform(rng, 0.8, 0.08 * max(scene.mask.shape) + 1.0))


def _erased(rng: np.random.Generator, scene: _Scene) -> Frame:
    """What is around goes on over it, so that a hole or an edge is missing."""
    outside = (scene.mask < 0.02).astype(np.float32)[:, :, None]
    sigma = max(1.5, log_uniform(rng, 0.02, 0.2) * max(scene.mask.shape))
    weight = _blurred(outside, sigma)
    around = _blurred(scene.frame * outside, sigma) / np.maximum(weight, 1e-3)
    filled = np.where(weight > 1e-3, around, scene.frame.mean(axis=(0, 1)))
    return np.asarray(filled + _grain(rng, scene) if rng.random() < 0.7 else filled, np.float32)


def _removed(rng: np.random.Generator, scene: _Scene) -> Frame:
    """Dark or bright structure up to some size is gone: a hole that was never drilled, a missing ball of solder."""
    longest = max(scene.mask.shape)
    side = 2 * round(log_uniform(rng, 1.0, 0.1 * longest + 1.0)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smooth = _blurred(scene.frame, 1.0)
    operation = cv2.MORPH_CLOSE if rng.random() < 0.5 else cv2.MORPH_OPEN
    change = _shaped(cv2.morphologyEx(smooth, operation, kernel), scene.frame) - smooth
    share = np.clip(np.abs(change) / np.float32(0.25 * scene.spread) - 0.5, 0.0, 1.0)
    gone = scene.frame + share * change
    if rng.random() < 0.5:
        gone = gone + share * _grain(rng, scene)
    return np.asarray(gone, np.float32)


def _grain(rng: np.random.Generator, scene: _Scene) -> Frame:
    """The frame's own fine texture, from another place."""
    moved = _moved(rng, scene.frame)
    return moved - _blurred(moved, log_uniform(rng, 1.0, 4.0))


def _bent(rng: np.random.Generator, scene: _Scene) -> Frame:
    longest = max(scene.mask.shape)
    return bend(
        rng, scene.frame, log_uniform(rng, 0.01 * longest + 0.5, 0.1 * longest + 1.0), longest * rng.uniform(0.1, 0.6)
    )


def bend(rng: np.random.Generator, frame: Frame, amount: float, cell: float) -> Frame:
    """Move every pixel about `amount` pixels by a smooth random field with features `cell` pixels apart."""
    height, width = frame.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    columns += np.float32(amount) * field(rng, height, width, cell)
    rows += np.float32(amount) * field(rng, height, width, cell)
    return _shaped(cv2.remap(frame, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), frame)


def _moved(rng: np.random.Generator, frame: Frame) -> Frame:
    """The frame rolled to another place, now and then mirrored or turned."""
    turn = pick(rng, ((10, 0), (3, 1), (3, 2), (4, 3)))
    if turn == 1:
        frame = frame[:, ::-1]
    elif turn == 2:
        frame = frame[::-1]
    elif turn == 3:
        frame = np.rot90(frame, 2 if frame.shape[0] != frame.shape[1] else int(rng.integers(1, 4)))
    return np.roll(frame, (int(rng.integers(frame.shape[0])), int(rng.integers(frame.shape[1]))), (0, 1))


def _blurred(frame: Frame, sigma: float) -> Frame:
    return _shaped(cv2.GaussianBlur(frame, (0, 0), sigma), frame)


def _shaped(result: Any, like: Frame) -> Frame:
    """OpenCV drops a single channel."""
    shaped: Frame = np.asarray(result, np.float32).reshape(like.shape)
    return shaped


_Shapes = tuple[tuple[float, Shape], ...]

_ANY: _Shapes = ((25, patch), (35, line), (20, spots), (20, blob))
_LARGE: _Shapes = ((45, patch), (35, half), (20, blob))
_COMPACT: _Shapes = ((70, patch), (10, half), (20, blob))

# Weights in percent. Splices with other frames come first: nothing else shows whole parts that do not belong together.
_FILLINGS: tuple[tuple[float, tuple[Filling, _Shapes]], ...] = (
    (20, (_other_frame, _LARGE)),
    (10, (_own_frame, _COMPACT)),
    (15, (_flat, _ANY)),
    (20, (_shade, _ANY)),
    (5, (_contrast, _ANY)),
    (6, (_texture, _ANY)),
    (6, (_out_of_focus, _COMPACT)),
    (10, (_erased, ((50, patch), (20, line), (15, spots), (15, blob)))),
    (8, (_bent, _COMPACT)),
    (12, (_removed, ((60, patch), (25, half), (15, blob)))),
)
