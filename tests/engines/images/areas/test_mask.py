"""Masks from files and polygons, and what of an image they let through to the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.bundles import CropBox, Geometry, Manifest, View
from engines.bundles.bundle import Bundle
from engines.bundles.mask import Mask
from engines.errors import ImageError
from engines.images import MaskChoice, inspected_pixels, parse_polygon, prepare, prepare_for


def masked_view(inspected: np.ndarray, fill: tuple[int, ...] = (90,), crop: CropBox | None = None) -> View:
    return View(lowest_aspect=0.2, highest_aspect=5.0, crop=crop, mask=Mask.of(inspected), fill=fill)


def write_mask(path: Path, inspected: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), np.where(inspected, 255, 0).astype(np.uint8))
    return path


def half(height: int = 40, width: int = 60) -> np.ndarray:
    """Only the right half counts."""
    return np.broadcast_to(np.arange(width) >= width // 2, (height, width))


@pytest.mark.parametrize("seed", range(12))
def test_what_is_masked_never_reaches_the_model(seed: int) -> None:
    """Any mask, crop and size, shrunk or enlarged, 8 or 16 bits: the model's input is the same, bit by bit."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(20, 120, 2))
    coarse = rng.random((5, 7)).astype(np.float32)
    inspected = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) > 0.5
    x, y = int(rng.integers(0, width // 4)), int(rng.integers(0, height // 4))
    crop = CropBox(x=x, y=y, width=width - x - 3, height=height - y - 3) if seed % 2 else None
    bits, kind = ((16, np.uint16), (8, np.uint8))[seed % 3 > 0]
    geometry = Geometry(*(int(side) for side in rng.integers(16, 80, 2)), 1, bits)
    view = masked_view(inspected, crop=crop)
    full = int(np.iinfo(kind).max)
    image = rng.integers(0, full, (height, width, 1), endpoint=True).astype(kind)
    other = np.where(inspected[:, :, None], image, rng.integers(0, full, image.shape, endpoint=True).astype(kind))
    assert (image != other).any()
    assert (prepare_for(image, view, geometry).pixels == prepare_for(other, view, geometry).pixels).all()


def test_an_unmasked_defect_reaches_the_model_and_the_rest_is_filled(tiny_bundle: Bundle) -> None:
    geometry = tiny_bundle.geometry
    view = masked_view(half(32, 32), fill=(77,))
    manifest = tiny_bundle.manifest.model_copy(update={"view": view})
    image = np.full((32, 32, 1), 200, np.uint8)
    pixels = prepare(image, manifest).pixels
    assert (pixels[:, :16] == 77).all()
    assert (pixels[:, 16:] == 200).all()
    assert (image == 200).all(), "the caller's image is not written to"
    assert inspected_pixels(view, geometry).sum() == 32 * 16


def test_png_and_polygons_give_the_same_mask(tmp_path: Path) -> None:
    """A polygon includes its corners; `include` and `exclude` of a JSON file add up with the command line's."""
    png = MaskChoice(write_mask(tmp_path / "mask.png", half())).for_size(40, 60)
    drawn = MaskChoice(excluded=(parse_polygon("0,0 29,0 29,39 0,39"),)).for_size(40, 60)
    document = {"width": 60, "height": 40, "include": [[[30, 0], [59, 0], [59, 39], [30, 39]]]}
    (tmp_path / "mask.json").write_text(json.dumps(document))
    assert png == drawn == MaskChoice(tmp_path / "mask.json").for_size(40, 60)
    more = MaskChoice(tmp_path / "mask.json", (parse_polygon("30,0 40,0 40,39 30,39"),)).for_size(40, 60)
    assert more.inspected().sum() == 40 * 19


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("other.png", half(20, 60), "the mask is 60×20, the images are 60×40"),
        ("black.png", np.zeros((40, 60), np.bool_), "excludes the whole image"),
        ("text.png", b"not an image", "not a PNG"),
        ("missing.png", None, "cannot be read"),
        ("missing.json", None, "cannot be read"),
        ("other.json", b'{"width": 61, "height": 40}', "the mask is 61×40, the images are 60×40"),
        ("broken.json", b'{"width": 60', "Invalid JSON"),
        ("unknown.json", b'{"width": 60, "height": 40, "polygon": []}', "polygon: Extra inputs"),
        ("line.json", b'{"width": 60, "height": 40, "exclude": [[[0, 0], [9, 9]]]}', "at least 3"),
        ("far.json", b'{"width": 60, "height": 40, "exclude": [[[90, 0], [99, 0], [99, 9]]]}', "outside the image"),
        ("nan.json", b'{"width": 60, "height": 40, "exclude": [[[NaN, 0], [99, 0], [99, 9]]]}', "finite number"),
        ("all.json", b'{"width": 60, "height": 40, "exclude": [[[0, 0], [60, 0], [60, 40], [0, 40]]]}', "whole image"),
    ],
)
def test_a_mask_that_does_not_fit_is_one_line(tmp_path: Path, name: str, content: Any, wanted: str) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write_mask(path, content)
    with pytest.raises(ImageError, match=wanted) as caught:
        MaskChoice(path).for_size(40, 60)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "1,2 3,4", "1,2 3,4 5", "a,b c,d e,f", "1,2 3,4 nan,5", "1,2 3,4 1e99,5"])
def test_a_polygon_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(ImageError, match="wanted at least three corners"):
        parse_polygon(text)


def test_a_mask_of_which_the_crop_leaves_nothing_is_one_line() -> None:
    view = masked_view(half(), crop=CropBox(x=0, y=0, width=20, height=20))
    with pytest.raises(ImageError, match="the mask excludes all that the crop"):
        prepare_for(np.zeros((40, 60, 1), np.uint8), view, Geometry(32, 32, 1))


def test_an_image_of_another_size_than_the_mask_is_one_line() -> None:
    with pytest.raises(ImageError, match="the image is 60×41, wanted 60×40, the size of the mask"):
        prepare_for(np.zeros((41, 60, 1), np.uint8), masked_view(half()), Geometry(32, 32, 1))


def test_a_manifest_rejects_damaged_masks(tiny_bundle: Bundle) -> None:
    """Bits that are too few, too many, or no base64; a fill that does not fit; nothing more is unpacked."""
    document = tiny_bundle.manifest.model_dump(by_alias=True, mode="json")
    view = masked_view(half()).model_dump(mode="json")

    def with_view(**changes: Any) -> dict[str, Any]:
        return {**document, "view": {**view, **changes}}

    assert Manifest.model_validate(with_view()).view.mask.inspected().sum() == 40 * 30
    bomb = Mask.of(np.ones((4000, 4000), np.bool_)).excluded
    for mask in (
        {**view["mask"], "width": 61},
        {**view["mask"], "excluded": bomb},
        {**view["mask"], "excluded": "§"},
        {**view["mask"], "excluded": ""},
    ):
        with pytest.raises(ValueError, match="damaged"):
            Manifest.model_validate(with_view(mask=mask))
    for fill in ([], [1, 2], [256]):
        with pytest.raises(ValueError, match="fill"):
            Manifest.model_validate(with_view(fill=fill))


def test_a_mask_of_noise_is_too_much_detail(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((2600, 2600)) > 0.5
    with pytest.raises(ImageError, match="too much detail"):
        MaskChoice(write_mask(tmp_path / "noise.png", noise)).for_size(2600, 2600)
