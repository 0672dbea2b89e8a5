"""Frames and heat as pictures for people; the reports share them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Frames, Normalisation

Pictures = NDArray[np.uint8]
"""RGB pictures, [N, H, W, 3]."""


def viewable(frames: Frames, normalisation: Normalisation) -> Pictures:
    """Show frames [N, H, W, C] as RGB, grey values as the network sees them: its range becomes black to white."""
    values = (frames.astype(np.float32) - normalisation.low) / (normalisation.high - normalisation.low)
    return as_rgb((values.clip(0, 1) * 255).round().astype(np.uint8))


def as_rgb(pixels: NDArray[np.uint8]) -> Pictures:
    """Turn gray [N, H, W, 1] or BGR [N, H, W, 3] into RGB."""
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else np.ascontiguousarray(pixels[..., ::-1])


def overlay(pictures: Pictures, heatmaps: NDArray[np.float32], top: float) -> Pictures:
    """Lay heat [N, h, w] over pictures, one scale for all: 0 is invisible, `top` and more as bright as it gets."""
    height, width = pictures.shape[1:3]
    result = np.empty_like(pictures)
    for index, (picture, heatmap) in enumerate(zip(pictures, heatmaps, strict=True)):
        heat = cv2.resize(heatmap / top, (width, height), interpolation=cv2.INTER_LINEAR).clip(0, 1)
        colours = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
        share = 0.75 * heat[:, :, None]
        result[index] = picture * (1 - share) + colours * share
    return result


def top_of(heatmaps: NDArray[np.float32]) -> float:
    """Heat that only one pixel in a thousand of these heatmaps reaches; above 0."""
    return max(float(np.quantile(heatmaps, 0.999)), float(np.finfo(np.float32).tiny))
