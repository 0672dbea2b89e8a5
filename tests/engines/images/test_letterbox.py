"""Letterbox: proportions are kept, and padding can be told from the image in the frame itself."""

from __future__ import annotations

import numpy as np
import pytest

from engines.bundles.bundle import Bundle
from engines.bundles.manifest import Geometry, View
from engines.images import (
    MOST_STRETCH,
    content_box,
    content_of,
    cut_heat,
    fit_to_view,
    prepare,
    stretch,
)

GEOMETRY = Geometry(64, 96, 1)
SHAPES = [(64, 96), (48, 72), (30, 300), (300, 30), (100, 100), (7, 5), (640, 480), (61, 97), (64, 110), (1, 96)]


def letterbox(padding: int) -> View:
    return View(lowest_aspect=1.5, highest_aspect=1.5, padding=padding)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_image_is_stretched_by_more_than_a_tenth(shape: tuple[int, int]) -> None:
    box = content_box(shape, GEOMETRY)
    smallest = min(box.height, box.width)
    # A side of a few pixels is rounded to whole ones.
    assert stretch(*shape, box.height, box.width) <= MOST_STRETCH + (0.5 / smallest if smallest < 10 else 0.0)
    assert box.y + box.height <= 64
    assert box.x + box.width <= 96
    assert max(box.height / 64, box.width / 96) > 0.9


def test_random_shapes_keep_their_proportions() -> None:
    chance = np.random.default_rng(0)
    for height, width in chance.integers(40, 2000, (500, 2)):
        box = content_box((height, width), Geometry(192, 256, 1))
        if min(box.height, box.width) >= 10:
            assert stretch(height, width, box.height, box.width) <= MOST_STRETCH


@pytest.mark.parametrize("padding", [0, 128, 255])
@pytest.mark.parametrize("content", ["noise", "padding"])
def test_the_image_can_be_found_in_the_frame(padding: int, content: str) -> None:
    """Even an image that has the padding's value everywhere: its corners differ by one gray level."""
    for shape in SHAPES:
        noise = np.random.default_rng(0).integers(0, 256, (*shape, 1)).astype(np.uint8)
        image = noise if content == "noise" else np.full_like(noise, padding)
        before = image.copy()
        frame = fit_to_view(image, letterbox(padding), GEOMETRY)
        assert (image == before).all()
        box = content_box(shape, GEOMETRY)
        rows, columns = np.nonzero(frame[:, :, 0] != padding)
        assert (rows.min(), rows.max() + 1) == (box.y, box.y + box.height)
        assert (columns.min(), columns.max() + 1) == (box.x, box.x + box.width)


def test_colour_and_sixteen_bits_are_padded_too() -> None:
    image = np.random.default_rng(0).integers(0, 60000, (40, 200, 3)).astype(np.uint16)
    frame = fit_to_view(image, letterbox(30000), Geometry(64, 96, 3, 16, "BGR"))
    assert frame.dtype == np.uint16
    assert (frame[:20] == 30000).all()
    assert frame[32].std() > 1000


def test_a_place_in_the_heatmap_is_the_same_place_in_the_source_image() -> None:
    """A bright spot at two thirds of the width and a quarter of the height, in images of many shapes."""
    for height, width in [(60, 300), (300, 60), (200, 200), (64, 96)]:
        image = np.full((height, width, 1), 20, np.uint8)
        y, x = height // 4, 2 * width // 3
        image[y - 3 : y + 3, x - 3 : x + 3] = 255
        frame = fit_to_view(image, letterbox(20), GEOMETRY)
        heatmap = frame[:, :, 0].reshape(16, 4, 24, 4).max((1, 3)).astype(np.float32)
        heat = cut_heat(heatmap, content_of(image, letterbox(20), GEOMETRY))
        row, column = np.unravel_index(int(heat.argmax()), heat.shape)
        assert abs((row + 0.5) / heat.shape[0] - y / height) < 1.5 / heat.shape[0]
        assert abs((column + 0.5) / heat.shape[1] - x / width) < 1.5 / heat.shape[1]


def test_other_shapes_are_accepted_with_letterbox_only(tiny_bundle: Bundle) -> None:
    manifest = tiny_bundle.manifest.model_copy(update={"view": letterbox(100)})
    image = np.zeros((60, 200, 1), np.uint8)
    height, width = tiny_bundle.geometry.shape[:2]
    assert prepare(image, manifest).pixels.shape == tiny_bundle.geometry.shape
    content = prepare(image, manifest).content
    assert content is not None
    assert content.bottom - content.top == pytest.approx(width * 0.3 / height, abs=0.1)
    assert prepare(np.zeros((*tiny_bundle.geometry.shape[:2], 1), np.uint8), manifest).content is None
