"""Frames and heatmaps as 8-bit images, and the overlay of both."""

from __future__ import annotations

import numpy as np
import pytest

from agent.alarms.drawing import MAX_DRAWN_SIDE_PIXELS, MIN_DRAWN_SIDE_PIXELS, draw_heatmap, fit_screen, to_8_bit
from tests.agent.alarms.heatmaps import heatmap_with


def test_sixteen_bits_are_shown_through_one_window() -> None:
    image = np.array([[[0], [32_768], [65_535]]], np.uint16)
    assert to_8_bit(image)[0, :, 0].tolist() == [0, 128, 255]
    assert to_8_bit(image, (0, 32_768))[0, :, 0].tolist() == [0, 255, 255]
    dark, bright = np.full((4, 4, 1), 300, np.uint16), np.full((4, 4, 1), 65_000, np.uint16)
    assert to_8_bit(dark).max() < to_8_bit(bright).min(), "the window does not follow the image"


@pytest.mark.parametrize("size", [(8, 16), (480, 640), (3000, 4000), (1, 5000)])
def test_drawn_size_fits_a_screen(size: tuple[int, int]) -> None:
    height, width = fit_screen(*size)
    assert MIN_DRAWN_SIDE_PIXELS <= max(height, width) <= MAX_DRAWN_SIDE_PIXELS
    assert min(height, width) >= 1


def test_heatmap_with_nan_and_infinity_is_drawn() -> None:
    drawn = draw_heatmap(heatmap_with((0, 0, np.nan), (2, 2, np.inf)), 80, 160)
    assert drawn.shape == (80, 160, 3)
    assert drawn[25, 25].min() > drawn[75, 155].min(), "the infinite cell is the hottest"
