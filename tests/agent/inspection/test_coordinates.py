"""Regions of alarms are in pixels of the source image, whatever crop, mask, letterbox and orientation a view has."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.alarms import regions
from agent.core.crop import Crop
from agent.core.records import Region
from agent.inspection.preparation import Preparation
from engines.bundles.manifest import CropBox, Geometry, View
from engines.bundles.mask import Mask
from engines.images import cut_heat, read_image

HEIGHT, WIDTH = 90, 140
SPOT = (70, 30, 16, 12)
"""Left, top, width and height of the one bright spot, pixels of the image as a person sees it."""
GEOMETRY = Geometry(64, 64, 1)
STRIDE = 4

CROPS = (None, CropBox(x=21, y=7, width=100, height=76))
MASKS = (False, True)
PADDINGS = (None, 50)
ORIENTATIONS = (1, 3, 6, 8)


def upright() -> np.ndarray:
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    x, y, width, height = SPOT
    image[y : y + height, x : x + width] = 250
    return image


def written(path: Path, orientation: int) -> Path:
    """The image as a camera stores it that is turned, with the tag that turns it back."""
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    ok, jpeg = cv2.imencode(".jpg", np.rot90(upright(), turns), [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert ok
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation, 0, 0, 0]) + b"\0\0\0\0"
    data = jpeg.tobytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:])
    return path


def region_of(image: np.ndarray, view: View) -> Region:
    """The hottest region where a model would find the bright spot: through the path of a frame, without its engine."""
    crop = None if view.crop is None else Crop(**view.crop.model_dump())
    prepare = Preparation(GEOMETRY, crop, view=view)
    inspected, pixels = prepare(image)
    bright = (pixels[:, :, 0] > 150).astype(np.float32)
    heat = cv2.resize(bright, (64 // STRIDE, 64 // STRIDE), interpolation=cv2.INTER_AREA) * 4.0
    found = regions(cut_heat(np.asarray(heat, np.float32), prepare.content(inspected)), inspected.shape)[0]
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
    x, y, width, height = SPOT
    # One place of the heatmap, in pixels of the source image.
    part_width, part_height = (WIDTH, HEIGHT) if crop is None else (crop.width, crop.height)
    long = max(part_width, part_height)
    cell_x, cell_y = (STRIDE * side / 64 for side in ((part_width, part_height) if padding is None else (long, long)))
    assert found.x == pytest.approx(x, abs=cell_x)
    assert found.y == pytest.approx(y, abs=cell_y)
    assert found.x + found.width == pytest.approx(x + width, abs=cell_x)
    assert found.y + found.height == pytest.approx(y + height, abs=cell_y)


def test_a_spot_under_the_mask_gives_no_region() -> None:
    """The box that is left when nothing is hot is not that of the spot."""
    inspected = np.ones((HEIGHT, WIDTH), np.bool_)
    inspected[20:60, 60:100] = False
    view = View(lowest_aspect=0.1, highest_aspect=9.0, mask=Mask.of(inspected), fill=(60,))
    assert region_of(upright()[:, :, None], view).peak == 0.0
