"""The overlay of frame and heatmap."""

from __future__ import annotations

import numpy as np

from agent.alarms.drawing import enlarge_heatmap
from agent.alarms.overlay import draw_overlay
from agent.core.records import Region
from tests.agent.alarms.heatmaps import heatmap_with

FRAME = np.full((400, 800, 3), 120, np.uint8)
HEATMAP = enlarge_heatmap(heatmap_with((4, 4, 6.0)), 400, 800)


def test_overlay_changes_the_frame_only_where_it_is_hot() -> None:
    drawn = draw_overlay(FRAME, HEATMAP, [], captions=("first line", "second line")).astype(int)
    assert drawn.shape[0] > 400, "the strip with captions and colour scale"
    assert (drawn[:100, 600:] == 120).all()
    assert abs(drawn[225, 225] - 120).max() > 30


def test_overlay_draws_a_box_around_each_region() -> None:
    region = Region(x=600, y=100, width=40, height=40, peak=2.5)
    plain = draw_overlay(FRAME, HEATMAP, [], captions=("", ""))
    boxed = draw_overlay(FRAME, HEATMAP, [region], captions=("", ""))
    rows, columns = np.nonzero((plain != boxed).any(axis=2))
    assert 580 < columns.min() < 600 < 640 < columns.max() < 660
    assert rows.max() < 160
    assert (plain[105:135, 605:635] == boxed[105:135, 605:635]).all(), "the region itself stays visible"
