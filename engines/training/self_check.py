"""Whether a model tells good images from damaged ones, checked on held-out good images that are damaged plainly.

Part of the image is pasted elsewhere (CutPaste, Li et al. 2021), or there is a spot or a scratch. The damage is visible
at a glance and has nothing to do with how a recipe trains, so it also finds a training that failed: a model that does
not detect it detects no defect either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import DamageCheck, Frames

# Sides and lengths as shares of the longer side of the frame: visible at a glance.
_PATCH, _SPOT_RADIUS, _SCRATCH_LENGTH, _SCRATCH_WIDTH = 0.2, 0.05, 0.35, 0.015

# Contrast of spots and scratches, in standard deviations of all held-out frames.
_CONTRAST = 3.0

# Damaged frames in all: enough for a standard error of 0.04 of the AUROC, and a second of scoring.
_LEAST_DAMAGED = 48

# A damage that a mask hides is drawn again, this often at most: where only a line is inspected, none may fit.
_MOST_TRIES = 50

# 97.5 % quantile of the normal distribution.
_TWO_SIDED_95 = 1.96

_Damage = Callable[[np.random.Generator, Any, float], None]


def damaged(frames: Frames, seed: int = 0, *, inspected: NDArray[np.bool_] | None = None) -> Frames:
    """Copies of good frames [N, H, W, C] with one damage each, [M ≥ N, H, W, C] of the same type.

    With `inspected` [H, W], only pixels that count there are damaged.
    """
    rng = np.random.default_rng(seed)
    times = max(1, -(-_LEAST_DAMAGED // len(frames)))
    copies: Any = np.concatenate([frames] * times)
    contrast = _CONTRAST * max(float(frames.std()), 1.0)
    for index, frame in enumerate(copies):
        _damage(rng, frame, contrast, _DAMAGES[index % len(_DAMAGES)], inspected)
    result: Frames = copies
    return result


def _damage(
    rng: np.random.Generator, frame: Any, contrast: float, damage: _Damage, inspected: NDArray[np.bool_] | None
) -> None:
    """Damage a frame; with a mask, again and again until most of the damage is where it counts."""
    good = frame.copy()
    for _ in range(_MOST_TRIES):
        damage(rng, frame, contrast)
        if inspected is None:
            return
        changed = (frame != good).any(axis=2)
        frame[~inspected] = good[~inspected]
        if 2 * np.count_nonzero(changed & inspected) >= max(1, np.count_nonzero(changed)):
            return
        frame[:] = good


def damage_check(good: NDArray[np.float32], bad: NDArray[np.float32]) -> DamageCheck:
    """How well scores [N] of held-out good frames and [M] of their damaged copies are separated.

    The interval is that of Hanley and McNeil (1982), with N for both numbers, since copies of one frame are alike.

    >>> good = np.random.default_rng(0).normal(size=60).astype(np.float32)
    >>> check = damage_check(good, good + 3)
    >>> round(check.auroc, 2), check.detected
    (0.99, True)
    >>> damage_check(good, good).detected
    False
    """
    wins = (bad[:, None] > good).mean() + 0.5 * (bad[:, None] == good).mean()
    area, count = float(wins), len(good)
    one, two = area / (2.0 - area), 2.0 * area * area / (1.0 + area)
    spread = area * (1.0 - area) + (count - 1) * (one - area * area + two - area * area)
    half = _TWO_SIDED_95 * math.sqrt(max(spread, 0.0)) / count
    return DamageCheck(
        count=len(bad),
        median=float(np.median(bad)),
        auroc=round(area, 4),
        low=round(max(0.0, area - half), 4),
        high=round(min(1.0, area + half), 4),
    )


def _paste(rng: np.random.Generator, frame: Any, contrast: float) -> None:
    """Paste a patch of the frame at another place, upside down."""
    height, width = frame.shape[:2]
    side = max(3, round(_PATCH * max(height, width)))
    rows, columns = min(side, height), min(side, width)
    (y, there_y), (x, there_x) = rng.integers(height - rows + 1, size=2), rng.integers(width - columns + 1, size=2)
    patch = frame[there_y : there_y + rows, there_x : there_x + columns][::-1, ::-1].copy()
    frame[y : y + rows, x : x + columns] = patch


def _spot(rng: np.random.Generator, frame: Any, contrast: float) -> None:
    height, width = frame.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    radius = max(1, round(_SPOT_RADIUS * max(height, width)))
    cv2.circle(mask, (int(rng.integers(width)), int(rng.integers(height))), radius, 1, cv2.FILLED)
    _shade(rng, frame, mask, contrast)


def _scratch(rng: np.random.Generator, frame: Any, contrast: float) -> None:
    height, width = frame.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    length, angle = _SCRATCH_LENGTH * max(height, width), rng.uniform(0.0, math.pi)
    x, y = int(rng.integers(width)), int(rng.integers(height))
    end = round(x + length * math.cos(angle)), round(y + length * math.sin(angle))
    cv2.line(mask, (x, y), end, 1, max(1, round(_SCRATCH_WIDTH * max(height, width))))
    _shade(rng, frame, mask, contrast)


def _shade(rng: np.random.Generator, frame: Any, mask: NDArray[np.uint8], contrast: float) -> None:
    """Make the masked pixels darker or brighter: either at random, or only as the type of the samples has room for."""
    place = mask > 0
    mean, full = float(frame[place].mean()), float(np.iinfo(frame.dtype).max)
    both = min(mean, full - mean) >= contrast
    sign = rng.choice((-1.0, 1.0)) if both else (1.0 if mean < full / 2 else -1.0)
    frame[place] = np.clip(frame[place] + sign * contrast, 0.0, full).astype(frame.dtype)


_DAMAGES: tuple[_Damage, ...] = (_paste, _spot, _scratch)
