"""Shrinking by area: the definition in NumPy agrees with OpenCV's. The GPU's kernel is in `test_kernels.py`."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.bundles.bundle import Geometry
from engines.images.preprocessing import fit
from engines.images.shrinking import shrink_by_area, spans

# (height, width) of the source and of the target: whole multiples, hardly any change, even and odd, one axis only.
SIZES = [(1080, 1920, 64, 64), (480, 640, 256, 256), (257, 511, 256, 256), (70, 70, 7, 64), (64, 64, 64, 64)]


def noise_image(height: int, width: int, channels: int, dtype: type) -> np.ndarray:
    """Noise over the whole range: errors of an average are largest there."""
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (height, width, channels), dtype, endpoint=True)


def geometry_of(height: int, width: int, channels: int, dtype: type) -> Geometry:
    colour = "GRAY" if channels == 1 else "BGR"
    return Geometry(height, width, channels, 8 if dtype is np.uint8 else 16, colour)  # type: ignore[arg-type]


def largest_difference(a: np.ndarray, b: np.ndarray) -> int:
    assert a.shape == b.shape
    return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_shrink_by_area_agrees_with_opencv_within_one_grey_level(
    size: tuple[int, int, int, int], channels: int, dtype: type
) -> None:
    image = noise_image(*size[:2], channels, dtype)
    assert (
        largest_difference(shrink_by_area(image, *size[2:]), fit(image, geometry_of(*size[2:], channels, dtype))) <= 1
    )


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 5000).flatmap(lambda source: st.tuples(st.just(source), st.integers(1, min(source, 600)))))
def test_spans_cover_every_pixel_once(sizes: tuple[int, int]) -> None:
    source, target = sizes
    table = spans(source, target)
    assert table.first[0] == 0
    assert table.first[-1] + table.count[-1] == source
    assert (table.first + table.count <= source).all()
    np.testing.assert_allclose(table.weight.sum(axis=1), 1.0, rtol=1e-5)
    total = np.zeros(source)
    for row, (first, count) in enumerate(zip(table.first, table.count, strict=True)):
        total[first : first + count] += table.weight[row, :count]
    np.testing.assert_allclose(total, target / source, rtol=1e-3)
