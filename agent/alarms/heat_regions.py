"""The hot rectangles of a heatmap, in pixels of the image that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.records import Region

MAX_REGIONS = 8


def regions(heatmap: NDArray[np.float32], image_shape: Sequence[int]) -> list[Region]:
    """Bounding boxes of the connected areas above 1.0, hottest first, `MAX_REGIONS` at most.

    Where no value is above 1.0, the box of the hottest cell alone, so that every alarm points somewhere.

    Args:
        heatmap: calibrated, float32 [h, w].
        image_shape: [H, W, …] of the image, in whose pixels the boxes are given.
    """
    heat = np.nan_to_num(np.asarray(heatmap, np.float32), nan=0.0, posinf=3.4e38)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats((heat > 1.0).astype(np.uint8), connectivity=8)
    if count == 1:
        row, column = np.unravel_index(int(np.argmax(heat)), heat.shape)
        return [_region((int(column), int(row), 1, 1), float(heat[row, column]), heat.shape, image_shape)]
    peaks = {label: float(heat[labels == label].max()) for label in range(1, count)}
    hottest = sorted(peaks, key=lambda label: -peaks[label])[:MAX_REGIONS]
    return [_region(boxes[label, :4].tolist(), peaks[label], heat.shape, image_shape) for label in hottest]


def _region(box: Sequence[int], peak: float, heat_shape: Sequence[int], image_shape: Sequence[int]) -> Region:
    """A box (left, top, width, height) in cells of the heatmap as a region in pixels of the image, rounded outwards."""
    left, top, width, height = (int(value) for value in box)
    x_scale, y_scale = image_shape[1] / heat_shape[1], image_shape[0] / heat_shape[0]
    x, y = int(left * x_scale), int(top * y_scale)
    right = min(image_shape[1], int(np.ceil((left + width) * x_scale)))
    bottom = min(image_shape[0], int(np.ceil((top + height) * y_scale)))
    return Region(x, y, max(1, right - x), max(1, bottom - y), peak)
