"""Textures and drawn shapes as float layers: noise banks, streaks, lines and blobs with smooth edges."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
"""A layer or a map of the simulator, [H, W] float32."""
Points = NDArray[np.float64]
"""Points [N, 2] (x, y), pixels."""

# Fractional bits of a pixel that cv2 draws with, so that edges are smooth.
SHIFT = 6

# A bank is larger than a frame by this much in each direction: 65,536 different cuts, so that noise rarely repeats.
BANK_MARGIN = 256


def noise_bank(rng: np.random.Generator, size: int) -> Float:
    """Standard normal noise [size + BANK_MARGIN, size + BANK_MARGIN], to be cut at random offsets."""
    side = size + BANK_MARGIN
    return np.asarray(rng.standard_normal((side, side), np.float32), np.float32)


def cut(bank: Float, size: int, x: int, y: int) -> Float:
    """Cut [size, size] from a bank at (x, y), each 0..BANK_MARGIN."""
    return bank[y : y + size, x : x + size]


def normalised(layer: Float) -> Float:
    """Shift and scale to mean 0 and standard deviation 1."""
    return np.asarray((layer - layer.mean()) / layer.std(), np.float32)


def streaks(rng: np.random.Generator, size: int, length: float, width: float) -> Float:
    """Brushed metal [size + BANK_MARGIN]²: noise smeared by `length` along x and `width` along y, pixels; sd 1."""
    fine = cv2.GaussianBlur(noise_bank(rng, size), (0, 0), sigmaX=length, sigmaY=width)
    coarse = cv2.GaussianBlur(noise_bank(rng, size), (0, 0), sigmaX=length * 3.0, sigmaY=width * 3.5)
    return normalised(normalised(np.asarray(fine, np.float32)) + 0.6 * normalised(np.asarray(coarse, np.float32)))


def draw_line(layer: Float, points: Points, thickness: float) -> None:
    """Draw a line through points [N, 2] (x, y) into a layer [H, W] at level 1, `thickness` pixels wide."""
    outline = _outline(points, thickness)
    drawn = np.zeros(layer.shape, np.uint8)
    cv2.fillPoly(drawn, [_fixed(outline)], 255, cv2.LINE_AA, SHIFT)
    np.maximum(layer, drawn.astype(np.float32) / 255.0, out=layer)


def polygon(shape: tuple[int, ...], points: Points) -> Float:
    """Fill the polygon of points [N, 2] (x, y): [H, W], 0..1 with smooth edges."""
    drawn = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(drawn, [_fixed(points)], 255, cv2.LINE_AA, SHIFT)
    return np.asarray(drawn / np.float32(255.0), np.float32)


def blob_outline(
    rng: np.random.Generator, x: float, y: float, radius: float, roughness: float, corners: int = 24
) -> Points:
    """Outline [corners, 2] of an irregular blob about (x, y); roughness 0 is a circle, 0.4 is ragged."""
    angles = np.linspace(0.0, 2.0 * np.pi, corners, endpoint=False)
    waves = [
        rng.normal(0.0, roughness / order) * np.cos(order * angles + rng.uniform(0.0, 6.3)) for order in (2, 3, 5, 7)
    ]
    radii = radius * np.clip(1.0 + np.sum(waves, axis=0), 0.35, 1.8)
    return np.stack([x + radii * np.cos(angles), y + radii * np.sin(angles)], axis=1)


def wander(rng: np.random.Generator, x: float, y: float, length: float, bend: float, steps: int = 24) -> Points:
    """A winding line [steps, 2] about (x, y); over its length it turns by `bend` radians (standard deviation)."""
    heading = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, bend / np.sqrt(steps), steps))
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0) * (length / steps)
    return np.asarray(path - path.mean(axis=0) + (x, y), np.float64)


def _outline(points: Points, thickness: float) -> Points:
    """The outline of a band along a line, tapered at its ends as a scratch or a crack is."""
    along = np.gradient(points, axis=0)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    taper = np.sin(np.linspace(0.0, np.pi, len(points))) ** 0.4
    half = across * (taper * thickness / 2.0)[:, None]
    return np.asarray(np.concatenate([points + half, (points - half)[::-1]]), np.float64)


def _fixed(points: Points) -> NDArray[np.int32]:
    return np.round(points * (1 << SHIFT)).astype(np.int32).reshape(-1, 1, 2)
