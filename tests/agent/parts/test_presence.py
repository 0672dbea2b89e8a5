"""Is a part there? On images of the simulated line, in changing light, beside dirt, and without light."""

from __future__ import annotations

import numpy as np
import pytest

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Image
from agent.parts import PresenceMeter
from agent.sources.simulator import SimulatedLine

ENTER, LEAVE = 0.10, 0.05
LINES = {mode: SimulatedLine(mode, seed=3, size=256, gap_frames=4, defect_rate=0.1) for mode in ("camera", "xray")}


def meter(mode: str = "camera", region: Crop | None = None) -> PresenceMeter:
    return PresenceMeter(LINES[mode].empty_image(), region, LEAVE)


def brighter(image: Image, factor: float) -> Image:
    white = np.iinfo(image.dtype).max
    return np.clip(image.astype(np.float32) * factor, 0, white).astype(image.dtype)


@pytest.mark.parametrize("mode", list(LINES))
def test_parts_of_the_simulated_line_are_told_from_the_empty_view(mode: str) -> None:
    line, measure = LINES[mode], meter(mode)
    for index in range(20 * line.frames_per_cycle):
        share = measure(line.image(index))
        place = index % line.frames_per_cycle - line.frames_per_part
        if line.part_in_view(index) is not None:
            assert share > 2 * ENTER, index
        elif place in (1, 2):
            assert share < LEAVE, "no part is in view"


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.25, 1.7])
def test_light_that_changes_is_no_part(factor: float) -> None:
    line, measure = LINES["camera"], meter()
    empty, part = line.frames_per_part + 1, 0
    assert measure(line.image(empty)) < LEAVE
    assert measure(brighter(line.image(empty), factor)) < LEAVE, "the empty belt gets brighter, or darker"
    assert measure(brighter(line.image(part), factor)) > ENTER, "a part in the new light"
    assert measure(line.image(part)) > ENTER
    assert measure(line.image(empty)) < LEAVE, "and the old light again"


def test_image_without_light_is_no_empty_view() -> None:
    image = LINES["camera"].empty_image()
    assert meter()(np.zeros_like(image)) > ENTER
    assert meter()(np.full_like(image, 255)) > ENTER


def test_dirt_that_settles_slowly_becomes_background() -> None:
    line, measure = LINES["camera"], meter()
    empty = line.image(line.frames_per_part + 1)
    strength = np.zeros(empty.shape, np.float32)
    strength[40:130, 40:130] = 60.0
    steps = [np.clip(empty + strength * min(1.0, step / 800), 0, 255).astype(np.uint8) for step in range(0, 1000, 2)]
    assert max(map(measure, steps)) < ENTER
    assert meter()(steps[-1]) > ENTER, "all at once it is a part"
    assert measure(line.image(0)) > ENTER


def test_only_the_region_counts() -> None:
    line, measure = LINES["camera"], meter(region=Crop(x=0, y=0, width=64, height=64))
    other = line.image(line.frames_per_part + 1)
    other[128:, 128:] = 255
    assert measure(other) < LEAVE
    other[:32, :32] = 255
    assert measure(other) > ENTER


def test_image_of_another_size_or_depth_is_one_line() -> None:
    wanted = "background is 256×256 gray, 8 bit, the camera's image 64×128 gray, 16 bit; wanted the same"
    with pytest.raises(Permanent, match=wanted):
        meter()(np.zeros((128, 64, 1), np.uint16))
    with pytest.raises(Permanent, match="crop is 300×8 at 0,0, wanted within the image of 256×256"):
        meter(region=Crop(x=0, y=0, width=300, height=8))
