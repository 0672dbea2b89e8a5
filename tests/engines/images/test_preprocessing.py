"""Images are fitted to the model's input, or rejected in one line."""

from __future__ import annotations

import numpy as np
import pytest

from engines.bundles.bundle import Geometry
from engines.errors import ImageError
from engines.images.preprocessing import fit


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)


def test_fit_shrinks_by_area() -> None:
    """Each output pixel is the mean of its block, so a line of one pixel never vanishes between samples."""
    pixels = noise(64, 64, 1)
    blocks = pixels.reshape(16, 4, 16, 4).mean(axis=(1, 3))
    shrunk = fit(pixels, Geometry(16, 16, 1))
    assert np.abs(shrunk[:, :, 0] - blocks).max() <= 0.5001


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_fit_keeps_the_bit_depth_and_returns_the_size(dtype: type) -> None:
    geometry = Geometry(32, 48, 1, 8 if dtype is np.uint8 else 16)
    for shape in ((64, 64, 1), (16, 16, 1), (10, 100, 1)):
        fitted = fit(noise(*shape, dtype=dtype), geometry)
        assert fitted.shape == (32, 48, 1)
        assert fitted.dtype == dtype


def test_fit_of_the_right_size_returns_the_same_array() -> None:
    pixels = noise(32, 32, 3)
    assert fit(pixels, Geometry(32, 32, 3, 8, "BGR")) is pixels


def test_fit_converts_gray_to_bgr_and_back() -> None:
    gray = noise(32, 32, 1, dtype=np.uint16)
    colour = fit(gray, Geometry(32, 32, 3, 16, "BGR"))
    assert colour.shape == (32, 32, 3)
    assert (colour == gray).all()
    np.testing.assert_array_equal(fit(colour, Geometry(32, 32, 1, 16)), gray)


def test_fit_of_another_bit_depth_is_rejected() -> None:
    with pytest.raises(ImageError, match="the image has 16 bits per sample, the model wants 8"):
        fit(noise(32, 32, 1, dtype=np.uint16), Geometry(32, 32, 1, 8))


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 2), np.uint8), np.zeros((0, 8, 1), np.uint8), np.zeros((8, 8, 1))],
)
def test_fit_of_an_array_that_is_no_image_is_rejected(wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match="wanted"):
        fit(wrong, Geometry(32, 32, 1))
