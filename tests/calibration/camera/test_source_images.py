"""Sizes and grey values of the source images of a window."""

from __future__ import annotations

import numpy as np

from calibration.camera.references import SourceReference
from calibration.camera.source_images import SourceImages


def test_images_of_several_sizes_have_none() -> None:
    images = SourceImages()
    for size in ((480, 640), (600, 800)):
        images.add(size, np.full((8, 8, 1), 7, np.uint8))
    assert images.reference() == SourceReference(height=None, width=None, black=0, white=255)


def test_the_window_of_16_bits_spans_all_images_and_no_single_pixel() -> None:
    images, chance = SourceImages(), np.random.default_rng(0)
    for level in (800, 1500, 2900):
        image = chance.normal(level, 20.0, (64, 64, 1)).astype(np.uint16)
        image[0, 0] = 65_535
        images.add((64, 64), image)
    found = images.reference()
    assert found is not None
    assert 400 < found.black < 760
    assert 2950 < found.white < 3300


def test_a_window_without_contrast_is_still_one() -> None:
    images = SourceImages()
    images.add((8, 8), np.zeros((8, 8, 1), np.uint16))
    found = images.reference()
    assert found is not None
    assert found.white > found.black


def test_no_image_has_no_reference() -> None:
    assert SourceImages().reference() is None
