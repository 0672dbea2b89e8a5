"""Random masks of synthetic anomalies: [H, W] float32 in 0 … 1, from spots of two pixels to half a frame.

Every mask function draws one mask of `height` × `width` pixels from a NumPy generator. Sizes are distributed evenly on
a logarithmic scale, since a defect of three pixels is as likely as one of sixty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

AnomalyMask = NDArray[np.float32]
MaskFunction = Callable[[np.random.Generator, int, int], AnomalyMask]
_T = TypeVar("_T")

# OpenCV draws with coordinates in sixteenths of a pixel.
_SHIFT, _SIXTEENTHS = 4, 16

# Vertices of a line's path: enough for a smooth bend over the whole frame.
_PATH_POINTS = 24


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number between `low` and `high`, both > 0, evenly on a logarithmic scale."""
    return math.exp(rng.uniform(math.log(low), math.log(max(high, low))))


def weighted_choice(rng: np.random.Generator, options: Sequence[tuple[float, _T]]) -> _T:
    """Draw one of several (weight, option) pairs; ten times as fast as `Generator.choice` for a handful of them."""
    left = rng.random() * sum(weight for weight, _ in options)
    for weight, option in options:
        left -= weight
        if left < 0:
            return option
    return options[-1][1]


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> NDArray[np.float32]:
    """Draw smooth noise [H, W], about standard normal: random values `cell` pixels apart, interpolated bicubically."""
    grid = rng.standard_normal((int(height / cell) + 2, int(width / cell) + 2), dtype=np.float32)
    result: Any = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(result, np.float32)


def patch_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """A polygon, ellipse or rectangle from 2 pixels to 0.6 of the frame."""
    size = log_uniform(rng, 2.0, 0.6 * max(height, width))
    return _soften(rng, _solid(rng, height, width, size))


def blob_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """Islands of smooth noise above a level, within an ellipse: stains, corrosion, flakes."""
    longest = max(height, width)
    noise = smooth_noise(rng, height, width, log_uniform(rng, 2.0, 0.5 * longest))
    level = rng.uniform(-0.3, 1.2)
    ellipse = _ellipse(rng, height, width, log_uniform(rng, 0.08 * longest, 1.2 * longest))
    return _soften(rng, (noise > level).astype(np.float32) * ellipse)


def line_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """One to four curved lines side by side, from hairlines to bars: scratches, fibres, cracks, bones."""
    longest = max(height, width)
    length = log_uniform(rng, 0.1 * longest, 1.6 * longest)
    path = _path(rng, height, width, length)
    thickness = round(log_uniform(rng, 1.0, max(1.5, 0.05 * longest)))
    spacing = _normal_of(path) * log_uniform(rng, 0.05 * longest, 0.4 * longest)
    mask = np.zeros((height, width), np.float32)
    for index in range(weighted_choice(rng, ((3, 1), (1, 2), (1, 3), (1, 4)))):
        vertices = np.round((path + index * spacing) * _SIXTEENTHS).astype(np.int32)
        cv2.polylines(mask, [vertices], False, 1.0, thickness, cv2.LINE_8, _SHIFT)
    if rng.random() < 0.6:
        mask = _blur(mask, log_uniform(rng, 0.5, max(0.6, 0.02 * longest)))
        mask /= max(float(mask.max()), 1e-3)
    return mask


def spot_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """One to seven round spots near each other: pores, dust, splashes."""
    longest = max(height, width)
    diameter = log_uniform(rng, 1.5, 0.06 * longest + 1.5)
    spread = log_uniform(rng, 0.05 * longest, 0.5 * longest)
    centre = _point(rng, height, width)
    mask = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 8))):
        x, y = centre + rng.normal(0.0, spread, 2)
        radius = diameter * rng.uniform(0.25, 0.6)
        cv2.circle(mask, _fixed_point(x, y), int(radius * _SIXTEENTHS), 1.0, -1, cv2.LINE_8, _SHIFT)
    return _soften(rng, _not_empty(mask, centre))


def hill_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """A smooth hill without any edge, from 3 pixels to the whole frame: pores in X-ray images, uneven thickness."""
    longest = max(height, width)
    x, y = _point(rng, height, width)
    long = 0.25 * log_uniform(rng, 3.0, 2.0 * longest)
    short, angle = long * log_uniform(rng, 0.3, 1.0), rng.uniform(0.0, math.pi)
    rows, columns = np.arange(height)[:, None] - y, np.arange(width)[None, :] - x
    along = (columns * math.cos(angle) + rows * math.sin(angle)) / long
    across = (rows * math.cos(angle) - columns * math.sin(angle)) / short
    return np.asarray(np.exp(-0.5 * (along**2 + across**2)), np.float32)


def half_plane_mask(rng: np.random.Generator, height: int, width: int) -> AnomalyMask:
    """One side of the frame, or a band across it, with a hard or a long soft edge."""
    angles = (1, 0.0), (1, math.pi / 2), (1, rng.uniform(0, math.pi))
    angle = weighted_choice(rng, angles) + math.pi * rng.integers(0, 2)
    rows = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None]
    columns = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    along = (
        columns * np.float32(math.cos(angle)) + rows * np.float32(math.sin(angle)) - np.float32(rng.uniform(-0.3, 0.3))
    )
    edge = log_uniform(rng, 0.5 / max(height, width), 0.25)
    mask: AnomalyMask = np.clip(along / edge + 0.5, 0.0, 1.0)
    if rng.random() < 0.3:
        mask = mask * np.clip((rng.uniform(0.1, 0.4) - along) / edge + 0.5, 0.0, 1.0)
    return mask.astype(np.float32)


def _solid(rng: np.random.Generator, height: int, width: int, size: float) -> AnomalyMask:
    kind = rng.random()
    if kind < 0.3:
        return _ellipse(rng, height, width, size)
    centre = _point(rng, height, width)
    corners = _polygon(rng, size) if kind < 0.7 else _rectangle(rng, size)
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.round((corners + centre) * _SIXTEENTHS).astype(np.int32)], 1.0, cv2.LINE_8, _SHIFT)
    return _not_empty(mask, centre)


def _polygon(rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 11))))
    radii = size / 2 * rng.uniform(0.5, 1.0, len(angles))
    flat = np.stack([np.cos(angles), np.sin(angles) * log_uniform(rng, 0.3, 1.0)], axis=1) * radii[:, None]
    return flat @ _rotation(rng.uniform(0, math.pi))


def _rectangle(rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (size / 2, size / 2 * log_uniform(rng, 0.2, 1.0))
    return corners @ _rotation(weighted_choice(rng, ((2, 0.0), (1, math.pi / 2), (1, rng.uniform(0, math.pi)))))


def _ellipse(rng: np.random.Generator, height: int, width: int, size: float) -> AnomalyMask:
    mask = np.zeros((height, width), np.float32)
    centre = _point(rng, height, width)
    axes = _fixed_point(size / 2, size / 2 * log_uniform(rng, 0.25, 1.0))
    cv2.ellipse(mask, _fixed_point(*centre), axes, rng.uniform(0, 180), 0, 360, 1.0, -1, cv2.LINE_8, _SHIFT)
    return _not_empty(mask, centre)


def _path(rng: np.random.Generator, height: int, width: int, length: float) -> NDArray[np.float64]:
    """Points [24, 2] of a parabola through a random place, sometimes with jitter."""
    along = np.linspace(-1.0, 1.0, _PATH_POINTS)
    bend = rng.normal(0.0, 0.15) * length
    walk = np.cumsum(rng.standard_normal(_PATH_POINTS))
    jitter = walk * length * weighted_choice(rng, ((2, 0.0), (1, 0.01), (1, 0.02)))
    across = bend * along**2 + jitter - jitter.mean()
    points = np.stack([along * length / 2, across], axis=1) @ _rotation(rng.uniform(0, math.pi))
    result: NDArray[np.float64] = points + _point(rng, height, width)
    return result


def _normal_of(path: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = path[-1] - path[0]
    return np.array([-y, x]) / max(math.hypot(x, y), 1e-9)


def _rotation(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])


def _point(rng: np.random.Generator, height: int, width: int) -> NDArray[np.float64]:
    return rng.random(2) * (width, height)


def _fixed_point(x: float, y: float) -> tuple[int, int]:
    return int(x * _SIXTEENTHS), int(y * _SIXTEENTHS)


def _not_empty(mask: AnomalyMask, centre: NDArray[np.float64]) -> AnomalyMask:
    """Set at least one pixel, for shapes that are smaller than a pixel or lie outside the frame."""
    height, width = mask.shape
    mask[min(max(int(centre[1]), 0), height - 1), min(max(int(centre[0]), 0), width - 1)] = 1.0
    return mask


def _soften(rng: np.random.Generator, mask: AnomalyMask) -> AnomalyMask:
    """Blur the edges of every other mask; the others stay hard."""
    if rng.random() < 0.5:
        return mask
    return _blur(mask, log_uniform(rng, 0.6, max(1.0, 0.04 * max(mask.shape))))


def _blur(mask: AnomalyMask, sigma: float) -> AnomalyMask:
    result: Any = cv2.GaussianBlur(mask, (0, 0), sigma)
    return np.asarray(result, np.float32)
