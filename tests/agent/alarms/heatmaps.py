"""Heatmaps and verdicts for the tests of drawing and evidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core.records import Frame, Image, Verdict
from tests.support.delivery import AT


def heatmap_with(*spots: tuple[int, int, float]) -> NDArray[np.float32]:
    """A heatmap [8, 16] of 0.25 with the given (row, column, value)."""
    heatmap = np.full((8, 16), 0.25, np.float32)
    for row, column, value in spots:
        heatmap[row, column] = value
    return heatmap


def verdict(image: Image, heatmap: NDArray[np.float32]) -> Verdict:
    return Verdict(Frame("cam", 7, AT, 0.0, image), 3.5, 3.5, 2.0, heatmap)
