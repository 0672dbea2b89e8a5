"""Evidence of a part that was found turned shows it as the camera saw it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agent.alarms import as_captured, regions
from agent.core.crop import Crop
from engines.bundles import CropBox
from engines.images import Pose, cut_upright
from tests.support.frames import frame

CROP = CropBox(x=20, y=30, width=64, height=48)
MIDDLE = (52.0, 54.0)


def turned(pose: Pose, excluded: np.ndarray | None = None) -> tuple:
    """A frame of a part with this pose, whose source image is noise with one bright pixel block, and its heatmap."""
    source = np.random.default_rng(1).integers(0, 100, (120, 160, 1)).astype(np.uint8)
    to_source = pose.to_source(CROP)
    x, y = (int(value) for value in to_source @ (40.5, 12.5, 1.0))
    source[y - 2 : y + 3, x - 2 : x + 3] = 255
    upright = cut_upright(source, pose, CROP)
    made = replace(frame(0, image=upright), source=source, to_source=to_source, excluded=excluded)
    heat = np.where(upright[::4, ::4, 0] > 200, 3.0, 0.1).astype(np.float32)
    return made, heat, (x, y)


@pytest.mark.parametrize("degrees", [0.0, 10.0, -10.0, 90.0, 137.0])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (7.3, -11.6)])
def test_heat_lies_where_the_source_image_shows_its_cause(degrees: float, shift: tuple[float, float]) -> None:
    made, heat, (x, y) = turned(Pose(*shift, degrees, 0.9, MIDDLE))
    placed = as_captured(made, heat)
    assert placed.crop is not None
    assert (placed.frame.image == placed.crop.cut(made.source)).all(), "the image itself, not turned"
    found = placed.crop.to_source(regions(placed.heatmap, placed.frame.image.shape)[0])
    assert found.peak == 3.0, "turned back, the highest value stays"
    assert abs(found.x + found.width / 2 - x) < 4
    assert abs(found.y + found.height / 2 - y) < 4
    assert max(found.width, found.height) < 16


def test_what_is_not_inspected_around_a_turned_part_counts_as_excluded() -> None:
    excluded = np.zeros((CROP.height, CROP.width), np.bool_)
    excluded[:, :16] = True
    straight = as_captured(*turned(Pose(0.0, 0.0, 0.0, 0.9, MIDDLE), excluded)[:2])
    assert (straight.frame.excluded == excluded).all()
    made, heat, _ = turned(Pose(0.0, 0.0, 30.0, 0.9, MIDDLE), excluded)
    around = as_captured(made, heat).frame.excluded
    assert around is not None
    assert around[0, 0], "a corner that the part does not reach"
    inspected = (~around).sum() / (CROP.height * (CROP.width - 16))
    assert inspected == pytest.approx(1.0, abs=0.02)


def test_a_part_beyond_the_edge_of_the_image_is_shown_as_far_as_it_is_seen() -> None:
    made, heat, _ = turned(Pose(-30.0, 5.0, 8.0, 0.9, MIDDLE))
    placed = as_captured(made, heat)
    assert placed.crop is not None
    assert placed.crop.x == 0
    assert placed.frame.image.shape[:2] == (placed.crop.height, placed.crop.width)


def test_a_frame_without_alignment_stays_as_it_is() -> None:
    made, heat = frame(0), np.zeros((4, 4), np.float32)
    placed = as_captured(made, heat)
    assert placed.frame is made
    assert placed.heatmap is heat
    assert placed.crop is None
    assert isinstance(as_captured(*turned(Pose(0.0, 0.0, 1.0, 0.9, MIDDLE))[:2]).crop, Crop)
