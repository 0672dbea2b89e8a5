"""Regions with a factor, from text to the pixels of a model's input."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from engines.bundles import CropBox, Geometry, SensitiveRegion, Sensitivity, View
from engines.errors import ImageError
from engines.images import SensitivityChoice, factors_of_pixels, parse_region, prepare_for

# The left quarter of images of 40×40.
LEFT = ((0.0, 0.0), (9.0, 0.0), (9.0, 39.0), (0.0, 39.0))


def view_of(*regions: SensitiveRegion, crop: CropBox | None = None, padding: int | None = None) -> View:
    sensitivity = Sensitivity(width=40, height=40, regions=regions)
    return View(lowest_aspect=0.2, highest_aspect=5.0, sensitivity=sensitivity, crop=crop, padding=padding)


def test_pixels_outside_of_all_regions_count_exactly_one() -> None:
    view = view_of(SensitiveRegion(factor=0.3, polygon=LEFT))
    for side in (16, 32, 40, 96):
        factors = factors_of_pixels(view, Geometry(side, side, 1))
        assert (factors[:, side // 2 :] == 1.0).all()
        assert factors[:, : side // 5].max() == pytest.approx(0.3)
        assert ((factors >= 0.3 - 1e-6) & (factors <= 1.0)).all(), "an edge is between both"


def test_factors_follow_crop_and_letterbox() -> None:
    region = SensitiveRegion(factor=2.0, polygon=LEFT)
    cropped = factors_of_pixels(view_of(region, crop=CropBox(x=5, y=0, width=10, height=40)), Geometry(40, 10, 1))
    assert (cropped[:, :5] == 2.0).all()
    assert (cropped[:, 5:] == 1.0).all()
    padded = factors_of_pixels(view_of(region, padding=9), Geometry(40, 80, 1))
    assert (padded[:, :20] == 1.0).all(), "padding"
    assert (padded[:, 20:30] == 2.0).all()


def test_of_two_regions_the_later_one_counts() -> None:
    whole = ((0.0, 0.0), (39.0, 0.0), (39.0, 39.0), (0.0, 39.0))
    view = view_of(SensitiveRegion(factor=4.0, polygon=whole), SensitiveRegion(factor=0.5, polygon=LEFT))
    factors = factors_of_pixels(view, Geometry(40, 40, 1))
    assert (factors[:, :10] == 0.5).all()
    assert (factors[:, 10:] == 4.0).all()


def test_images_of_another_size_are_rejected() -> None:
    view = view_of(SensitiveRegion(factor=2.0, polygon=LEFT))
    with pytest.raises(ImageError, match="the image is 60×50, wanted 40×40, the size that the sensitivity"):
        prepare_for(np.zeros((50, 60, 1), np.uint8), view, Geometry(32, 32, 1))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10,20 60,20 60,90", "wanted a factor and at least three corners"),
        ("2: 10,20 60,20", "wanted a factor and at least three corners"),
        ("much: 10,20 60,20 60,90", "wanted a factor and at least three corners"),
        ("0: 10,20 60,20 60,90", r"got sensitivity 0, wanted a factor from 0.05 to 10; --exclude-polygon leaves"),
        ("-1: 10,20 60,20 60,90", "got sensitivity -1, wanted a factor from"),
        ("nan: 10,20 60,20 60,90", "got sensitivity nan, wanted a factor from"),
        ("1e9: 10,20 60,20 60,90", "wanted a factor from"),
    ],
)
def test_other_text_is_one_line(text: str, wanted: str) -> None:
    with pytest.raises(ImageError, match=wanted) as caught:
        parse_region(text)
    assert "\n" not in str(caught.value)


def test_a_manifest_rejects_images_that_no_memory_holds() -> None:
    with pytest.raises(ValidationError, match="the images have 65536×65536 pixels, wanted at most"):
        Sensitivity(width=2**16, height=2**16, regions=(SensitiveRegion(factor=2.0, polygon=LEFT),))


def test_a_region_beside_what_is_inspected_is_rejected() -> None:
    choice = SensitivityChoice((parse_region("2: 100,0 120,0 120,30"),))
    with pytest.raises(ImageError, match="--sensitivity: a polygon is outside the image of 40×40"):
        choice.for_size(40, 40)
    for text, crop in (("2: 0,0 9,0 9,9", CropBox(x=20, y=20, width=10, height=10)), ("1: 0,0 9,0 9,9", None)):
        with pytest.raises(ImageError, match="no region with another factor than 1 is in what is inspected"):
            SensitivityChoice((parse_region(text),)).for_size(40, 40, crop)
    assert str(SensitivityChoice((parse_region("2: 1,0 12,0 12,30"),)).for_size(40, 40)) == "×2 in a region of 40×40"
