"""Regions of alarms are in pixels of the source image, whatever crop, mask, letterbox, orientation and alignment a view
has."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms import as_captured, regions
from agent.core.crop import Crop
from agent.core.records import Region
from agent.inspection.preparation import Preparation
from engines.bundles import CropBox, Geometry, View
from engines.bundles.mask import Mask
from engines.images import cut_heat, read_image
from tests.support.frames import frame
from tests.support.loose_parts import HEIGHT as PARTS_HEIGHT
from tests.support.loose_parts import PLATE, SPOT, SPOT_RADIUS, Lies, draw, taught
from tests.support.loose_parts import WIDTH as PARTS_WIDTH

HEIGHT, WIDTH = 90, 140
BRIGHT = (70, 30, 16, 12)
"""Left, top, width and height of the one bright spot, pixels of the image as a person sees it."""
GEOMETRY = Geometry(64, 64, 1)
STRIDE = 4

CROPS = (None, CropBox(x=21, y=7, width=100, height=76))
MASKS = (False, True)
PADDINGS = (None, 50)
ORIENTATIONS = (1, 3, 6, 8)


def upright() -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    x, y, width, height = BRIGHT
    image[y : y + height, x : x + width] = 250
    return image


def written(path: Path, orientation: int) -> Path:
    return stored(path, upright(), orientation)


def stored(path: Path, image: np.ndarray, orientation: int) -> Path:
    """The image as a camera stores it that is turned, with the tag that turns it back."""
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    ok, jpeg = cv2.imencode(".jpg", np.rot90(image, turns), [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert ok
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0\0\0\0"
    data = jpeg.tobytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:])
    return path


def region_of(image: np.ndarray, view: View) -> Region:
    """The hottest region where a model would find the bright spot: through the path of a frame, without its engine."""
    crop = None if view.crop is None else Crop(**view.crop.model_dump())
    prepare = Preparation(GEOMETRY, crop, view=view)
    inspected, pixels, content = prepare(image)[:3]
    bright = (pixels[:, :, 0] > 150).astype(np.float32)
    heat = cv2.resize(bright, (64 // STRIDE, 64 // STRIDE), interpolation=cv2.INTER_AREA) * 4.0
    found = regions(cut_heat(np.asarray(heat, np.float32), content), inspected.shape)[0]
    return found if crop is None else crop.to_source(found)


@pytest.mark.parametrize(
    ("crop", "masked", "padding", "orientation"), list(itertools.product(CROPS, MASKS, PADDINGS, ORIENTATIONS))
)
def test_a_region_is_where_the_source_image_shows_it(
    crop: CropBox | None, masked: bool, padding: int | None, orientation: int, tmp_path: Path
) -> None:
    image = read_image(written(tmp_path / "image.jpg", orientation))
    assert image.shape[:2] == (HEIGHT, WIDTH)
    inspected = np.ones((HEIGHT, WIDTH), np.bool_)
    inspected[: HEIGHT // 4] = inspected[:, : WIDTH // 4] = False
    mask = Mask.of(inspected) if masked else None
    fill = (60,) if masked else ()
    view = View(lowest_aspect=0.1, highest_aspect=9.0, crop=crop, mask=mask, fill=fill, padding=padding)
    found = region_of(image, view)
    x, y, width, height = BRIGHT
    # One place of the heatmap, in pixels of the source image.
    part_width, part_height = (WIDTH, HEIGHT) if crop is None else (crop.width, crop.height)
    long = max(part_width, part_height)
    cell_x, cell_y = (STRIDE * side / 64 for side in ((part_width, part_height) if padding is None else (long, long)))
    assert found.x == pytest.approx(x, abs=cell_x)
    assert found.y == pytest.approx(y, abs=cell_y)
    assert found.x + found.width == pytest.approx(x + width, abs=cell_x)
    assert found.y + found.height == pytest.approx(y + height, abs=cell_y)


TAUGHT_CROPS = (PLATE, CropBox(x=54, y=38, width=50, height=46), CropBox(x=30, y=20, width=100, height=80))
MASKED_PLACES = (None, (20, 60, 100, 120), (0, 0, 56, 120))
"""Left, top, right and bottom, pixels of the taught image."""
LYING = (Lies(), Lies(7.0, -5.0, 0.0), Lies(0.0, 0.0, 9.5), Lies(-8.0, 6.0, -10.0), Lies(5.0, 3.0, 4.0))


@pytest.mark.parametrize(
    ("crop", "masked", "padding", "orientation"),
    list(itertools.product(TAUGHT_CROPS, MASKED_PLACES, PADDINGS, (1, 6))),
)
def test_the_region_of_a_turned_part_is_where_the_source_image_shows_it(
    crop: CropBox, masked: tuple[int, int, int, int] | None, padding: int | None, orientation: int, tmp_path: Path
) -> None:
    alignment = taught(tmp_path / "reference.png").for_size(PARTS_HEIGHT, PARTS_WIDTH)
    mask = None
    if masked is not None:
        inspected = np.ones((PARTS_HEIGHT, PARTS_WIDTH), np.bool_)
        inspected[masked[1] : masked[3], masked[0] : masked[2]] = False
        mask = Mask.of(inspected)
    view = View(
        lowest_aspect=0.1,
        highest_aspect=9.0,
        crop=crop,
        mask=mask,
        fill=() if mask is None else (60,),
        padding=padding,
        alignment=alignment,
    )
    for lies in LYING:
        image = read_image(stored(tmp_path / "part.jpg", draw(lies, np.random.default_rng(3), bad=True), orientation))
        found = alarm_region(image, view)
        x, y = lies.place(*SPOT)
        # A place of the heatmap, in pixels of the source image, and the spot's radius.
        reach = STRIDE * max(crop.width, crop.height) / 64 + SPOT_RADIUS
        assert found.peak > 0.9, "the spot itself"
        assert abs(found.x + found.width / 2 - x) < reach / 2 + 1
        assert abs(found.y + found.height / 2 - y) < reach / 2 + 1
        assert max(found.width, found.height) <= 2 * reach + 4


def alarm_region(image: np.ndarray, view: View) -> Region:
    """The region that an alarm about the spot has: from the heat of its place, as the recorder gives it."""
    assert view.crop is not None
    prepared = Preparation(GEOMETRY, Crop(**view.crop.model_dump()), view=view)(image)
    assert prepared.pose is not None
    bright = (prepared.pixels[:, :, 0] > 225).astype(np.float32)
    heat = cv2.resize(bright, (64 // STRIDE, 64 // STRIDE), interpolation=cv2.INTER_AREA) * 4.0
    made = replace(frame(0, image=prepared.inspected), source=image, to_source=prepared.to_source)
    placed = as_captured(made, cut_heat(np.asarray(heat, np.float32), prepared.content))
    assert placed.crop is not None
    return placed.crop.to_source(regions(placed.heatmap, placed.frame.image.shape)[0])


def test_a_spot_under_the_mask_gives_no_region() -> None:
    """The box that is left when nothing is hot is not that of the spot."""
    inspected = np.ones((HEIGHT, WIDTH), np.bool_)
    inspected[20:60, 60:100] = False
    view = View(lowest_aspect=0.1, highest_aspect=9.0, mask=Mask.of(inspected), fill=(60,))
    assert region_of(upright()[:, :, None], view).peak == 0.0
