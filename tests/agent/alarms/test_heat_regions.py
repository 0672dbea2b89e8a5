"""Boxes around the hot areas of a heatmap."""

from __future__ import annotations

import numpy as np
import pytest

from agent.alarms.heat_regions import regions
from tests.agent.alarms.heatmaps import heatmap_with


def test_regions_are_boxes_in_source_pixels_hottest_first() -> None:
    heatmap = heatmap_with((1, 2, 1.5), (1, 3, 2.5), (2, 3, 1.1), (6, 15, 9.0))
    hottest, second = regions(heatmap, (80, 320, 1))
    assert (hottest.x, hottest.y, hottest.width, hottest.height, hottest.peak) == (300, 60, 20, 10, 9.0)
    assert (second.x, second.y, second.width, second.height, second.peak) == (40, 10, 40, 20, 2.5)


def test_regions_are_the_eight_hottest() -> None:
    spots = [(row, column, 1.5 + 0.1 * row + 0.01 * column) for row in range(0, 8, 2) for column in range(0, 16, 2)]
    found = regions(heatmap_with(*spots), (8, 16, 1))
    hottest = sorted((value for _, _, value in spots), reverse=True)[:8]
    assert [region.peak for region in found] == pytest.approx(hottest)


def test_heatmap_without_a_hot_area_gives_its_hottest_cell() -> None:
    (only,) = regions(heatmap_with((3, 5, 0.75)), (8, 16, 1))
    assert (only.x, only.y, only.width, only.height, only.peak) == (5, 3, 1, 1, 0.75)


@pytest.mark.parametrize("shape", [(9, 17, 1), (5, 7, 3), (1000, 333, 1)])
def test_regions_lie_within_the_image_at_any_scale(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = regions(rng.gamma(2, 0.5, (8, 16)).astype(np.float32), shape)
        assert found
        for region in found:
            assert 0 <= region.x < region.x + region.width <= shape[1]
            assert 0 <= region.y < region.y + region.height <= shape[0]


def test_regions_of_a_heatmap_with_nan_and_infinity() -> None:
    heatmap = heatmap_with((0, 0, np.nan), (2, 2, np.inf))
    assert [region.x for region in regions(heatmap, (8, 16, 1))] == [2]
