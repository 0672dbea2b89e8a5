"""Measures of one image, its thumbnail and its PNG."""

from __future__ import annotations

import numpy as np
import pytest

from calibration import measure_image
from calibration.camera.image_measures import (
    THUMBNAIL_PIXELS,
    encode_png,
    sampled_pixels,
    saturation_level,
    shown_between,
    thumbnail,
)
from tests.calibration.lines import image


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_decoded_by_opencv(channels: int) -> None:
    cv2 = pytest.importorskip("cv2")
    shown = image(0, channels=channels)
    read = cv2.imdecode(np.frombuffer(encode_png(shown), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read.reshape(shown.shape), shown)


@pytest.mark.parametrize("bits", [8, 16])
def test_measures_of_a_known_image(bits: int) -> None:
    """Half of it at a quarter of full scale, half saturated."""
    top = 2**bits - 1
    shown = np.full((40, 40, 1), top // 4, np.uint8 if bits == 8 else np.uint16)
    shown[:, 20:] = top
    found = measure_image(shown)
    assert found.mean_level == pytest.approx(0.625, abs=0.002)
    assert (found.high_level, found.saturated_share) == (1.0, 0.5)
    assert found.sharpness > 0.0
    assert measure_image(np.full_like(shown, 7)).sharpness == 0.0


def test_checksum_differs_if_one_pixel_does() -> None:
    shown = image(0)
    changed = shown.copy()
    changed[3, 4] ^= 1
    assert measure_image(shown).checksum == measure_image(shown.copy()).checksum
    assert measure_image(shown).checksum != measure_image(changed).checksum


@pytest.mark.parametrize(("top", "level"), [(1023, 1023.0), (4095, 4095.0), (16383, 16383.0), (9000, 65_520.0)])
def test_saturation_level_is_that_of_the_sensor(top: int, level: float) -> None:
    assert saturation_level(np.array([0, top], np.uint16)) == level


@pytest.mark.parametrize("shape", [(48, 64, 1), (1000, 300, 3), (30, 500, 1)])
def test_thumbnail_is_small_and_keeps_the_mean(shape: tuple[int, int, int]) -> None:
    shown = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    small = thumbnail(shown)
    assert (small.dtype, small.shape[2]) == (np.uint8, shape[2])
    assert max(small.shape) <= THUMBNAIL_PIXELS
    assert small.mean() == pytest.approx(shown.mean(), abs=12)


@pytest.mark.parametrize("levels", [None, (0, 4095)])
def test_12_bits_with_a_hot_pixel_are_not_shown_black(levels: tuple[int, int] | None) -> None:
    image = np.random.default_rng(0).integers(0, 4096, (48, 64, 1)).astype(np.uint16)
    image[3, 3] = 65_535
    shown = shown_between(thumbnail(image), levels)
    assert shown.dtype == np.uint8
    assert shown.mean() == pytest.approx(127, abs=6)


def test_sampled_pixels_are_a_copy_at_the_same_places() -> None:
    shown = np.arange(100 * 200 * 3, dtype=np.uint16).reshape(100, 200, 3)
    sample = sampled_pixels(shown)
    assert 4096 <= sample.size <= 2 * 4096
    assert np.array_equal(sample, shown.reshape(-1)[:: shown.size // 4096])
    sample[0] = 1
    assert shown[0, 0, 0] == 0
