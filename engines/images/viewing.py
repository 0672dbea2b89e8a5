"""Frames and heatmaps as RGB images for people, in reports."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Frames, Normalisation

RgbImages = NDArray[np.uint8]
"""RGB images, [N, H, W, 3]."""


def viewable(frames: Frames, normalisation: Normalisation) -> RgbImages:
    """Frames [N, H, W, C] as RGB images; the network's range of grey values becomes black to white."""
    values = (frames.astype(np.float32) - normalisation.low) / (normalisation.high - normalisation.low)
    return as_rgb((values.clip(0, 1) * 255).round().astype(np.uint8))


def as_rgb(pixels: NDArray[np.uint8]) -> RgbImages:
    """Convert gray [N, H, W, 1] or BGR [N, H, W, 3] to RGB [N, H, W, 3]."""
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else np.ascontiguousarray(pixels[..., ::-1])


def overlay(images: RgbImages, heatmaps: NDArray[np.float32], top: float) -> RgbImages:
    """Draw heatmaps [N, h, w] over images with one colour scale: 0 is invisible, `top` and above is brightest."""
    height, width = images.shape[1:3]
    result = np.empty_like(images)
    for index, (image, heatmap) in enumerate(zip(images, heatmaps, strict=True)):
        heat = cv2.resize(heatmap / top, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
        colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
        share = 0.75 * heat[:, :, None]
        result[index] = image * (1 - share) + colours * share
    return result


def top_of(heatmaps: NDArray[np.float32]) -> float:
    """The value that only one pixel in a thousand of these heatmaps [N, h, w] reaches; above 0."""
    return max(float(np.quantile(heatmaps, 0.999)), float(np.finfo(np.float32).tiny))
