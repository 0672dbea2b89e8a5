"""Masks: from a file or polygons to the pixels of a model's input that count.

A mask is white where an image is inspected. It has the size of the source images, so it does not depend on the crop or
on the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engines.bundles import CropBox, Geometry, Mask, View
from engines.errors import ImageError
from engines.images.areas.polygons import Polygon, check_inside, fill
from engines.images.letterbox import content_box
from engines.images.preprocessing import Image, fit
from engines.images.reading import read_image

Pixels = NDArray[np.bool_]
"""Which pixels are inspected, [H, W]."""

# Bytes of a file with polygons.
_MAX_FILE_BYTES = 1_000_000


class MaskDocument(BaseModel):
    """A mask as polygons, in a JSON file: what a program writes that draws masks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: Annotated[int, Field(gt=0)]
    """Of the source images, pixels."""
    height: Annotated[int, Field(gt=0)]
    include: tuple[Polygon, ...] = ()
    """What alone counts; empty: the whole image."""
    exclude: tuple[Polygon, ...] = ()
    """What of it does not count."""


@dataclass(frozen=True, slots=True)
class MaskChoice:
    """A mask as a person gives it; its size is compared with that of the images once they are read."""

    file: Path | None = None
    """An image, white where it is inspected, or a JSON file with polygons."""
    excluded: tuple[Polygon, ...] = ()
    """Areas that do not count."""

    def for_size(self, height: int, width: int) -> Mask:
        """The mask of images of this size, pixels. Raises ImageError where it does not fit, or excludes everything."""
        inspected = np.ones((height, width), np.bool_)
        if self.file is not None:
            inspected &= _read_mask(self.file, height, width)
        inspected &= _outside(self.excluded, height, width, "--exclude-polygon")
        try:
            return Mask.of(inspected)
        except ValueError as error:
            reason = str(error) if inspected.any() else "the mask excludes the whole image, wanted some of it"
            raise ImageError(f"{self.file}: {reason}" if self.file else reason) from None


def check_mask(image: Image, mask: Mask | None) -> None:
    """Raise ImageError unless a source image [H, W, C] has the size of the mask."""
    if mask is not None and image.shape[:2] != (mask.height, mask.width):
        raise ImageError(
            f"the image is {image.shape[1]}×{image.shape[0]}, wanted {mask.width}×{mask.height}, the size of the mask"
        )


def inspected_pixels(view: View, geometry: Geometry) -> Pixels:
    """Which pixels of the model's input count by the view's mask, [h, w]: those that no masked pixel is part of.

    Padding is no part of the mask. Raises ImageError where nothing is left. The array is shared: read only.
    """
    assert view.mask is not None
    return _inspected_pixels(view.mask, view.crop, geometry, letterbox=view.padding is not None)


@lru_cache(maxsize=8)
def _inspected_pixels(mask: Mask, crop: CropBox | None, geometry: Geometry, *, letterbox: bool) -> Pixels:
    part = cut_mask(mask, crop)
    box = CropBox(x=0, y=0, width=geometry.width, height=geometry.height)
    if letterbox:
        box = content_box(part.shape, geometry)
    inspected = np.ones((geometry.height, geometry.width), np.bool_)
    inspected[box.y : box.y + box.height, box.x : box.x + box.width] = _fitted(part, box.height, box.width)
    if not inspected[box.y : box.y + box.height, box.x : box.x + box.width].any():
        raise ImageError("the mask excludes all that the crop and the model's size leave, wanted some of it")
    inspected.setflags(write=False)
    return inspected


def _fitted(inspected: Pixels, height: int, width: int) -> Pixels:
    if inspected.shape == (height, width):
        return inspected
    # Grown by one pixel, so that no share of a masked pixel is lost to rounding.
    grown: Any = cv2.erode(inspected.astype(np.uint8), np.ones((3, 3), np.uint8))
    full = np.iinfo(np.uint16).max
    level = np.where(grown[:, :, None] > 0, np.uint16(full), np.uint16(0))
    return np.asarray(fit(level, Geometry(height, width, 1, 16, "GRAY"))[:, :, 0] == full)


def cut_mask(mask: Mask, crop: CropBox | None) -> Pixels:
    """The mask of the inspected part, [h, w], in pixels of the source image."""
    inspected = mask.inspected()
    if crop is None:
        return inspected
    return inspected[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


def fill_masked(pixels: Image, view: View | None, geometry: Geometry) -> Image:
    """A model's input [h, w, C] with the fill in place of what is masked; the same array without a mask."""
    if view is None or view.mask is None:
        return pixels
    inspected = inspected_pixels(view, geometry)
    filled: Image = np.where(inspected[:, :, None], pixels, np.asarray(view.fill, pixels.dtype))
    return filled


def without_masked(pixels: Image, excluded: Pixels | None) -> Image:
    """A model's input [h, w, C] with its own mean in place of what is masked; the same array without a mask.

    For measures of the whole frame: the fill would keep up the level of a black image. `excluded` is the mask of the
    inspected part, [H, W], True where it does not count.
    """
    if excluded is None:
        return pixels
    size = (pixels.shape[1], pixels.shape[0])
    masked: Any = cv2.resize(excluded.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    if masked.all():
        return pixels
    own: Image = np.where(masked[:, :, None], pixels[~masked].mean(axis=0).astype(pixels.dtype), pixels)
    return own


def _read_mask(path: Path, height: int, width: int) -> Pixels:
    if path.suffix.lower() == ".json":
        return _read_polygons(path, height, width)
    image = read_image(path)
    if image.shape[:2] != (height, width):
        raise ImageError(f"{path}: the mask is {image.shape[1]}×{image.shape[0]}, the images are {width}×{height}")
    return np.asarray(image.max(axis=2) > np.iinfo(image.dtype).max // 2)


def _read_polygons(path: Path, height: int, width: int) -> Pixels:
    try:
        with path.open("rb") as file:
            document = MaskDocument.model_validate_json(file.read(_MAX_FILE_BYTES))
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        wanted = '{"width": W, "height": H, "exclude": [[[x, y], …], …]}'
        raise ImageError(f"{path}: {place}: {first['msg']}, wanted {wanted}".replace("\n", " ")) from None
    if (document.height, document.width) != (height, width):
        raise ImageError(f"{path}: the mask is {document.width}×{document.height}, the images are {width}×{height}")
    inspected = _outside(document.exclude, height, width, str(path))
    if document.include:
        inspected &= ~_outside(document.include, height, width, str(path))
    return inspected


def _outside(polygons: Sequence[Polygon], height: int, width: int, origin: str) -> Pixels:
    """[H, W], False inside the polygons and on their edges. ImageError for one that is beside the image."""
    inside = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        check_inside(polygon, height, width, origin)
        fill(inside, polygon, 1)
    return np.asarray(inside == 0)
