"""Sensitivity: from polygons with a factor to how much each pixel of a model's input counts.

The factors have their place in the source image, as a mask has. The score is made of places inside of the model
(`engines.recipes.content.PlaceFactors`), so they are part of the exported graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from engines.bundles import HIGHEST_FACTOR, LEAST_FACTOR, CropBox, Geometry, SensitiveRegion, Sensitivity, View
from engines.errors import ImageError
from engines.images.areas.polygons import check_inside, parse_polygon
from engines.images.letterbox import content_box
from engines.images.preprocessing import Image


@dataclass(frozen=True, slots=True)
class SensitivityChoice:
    """Regions as a person gives them; their place is compared with the size of the images once they are read."""

    regions: tuple[SensitiveRegion, ...]

    def for_size(self, height: int, width: int, crop: CropBox | None = None) -> Sensitivity:
        """The sensitivity for images of this size, pixels, of which the crop is inspected.

        Raises ImageError for a region beside the image, and where none changes anything that is inspected.
        """
        for region in self.regions:
            check_inside(region.polygon, height, width, "--sensitivity")
        try:
            sensitivity = Sensitivity(width=width, height=height, regions=self.regions)
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            raise ImageError(f"--sensitivity: {reason}") from None
        if not _cut(sensitivity.gains(), crop).any():
            raise ImageError("--sensitivity: no region with another factor than 1 is in what is inspected")
        return sensitivity


def parse_region(text: str) -> SensitiveRegion:
    """The region of a text such as `0.5: 10,20 60,20 60,90`; ImageError for anything else.

    >>> parse_region("0.5: 10,20 60,20 60,90").factor
    0.5
    """
    factor, _, corners = text.partition(":")
    try:
        number = float(factor)
        polygon = parse_polygon(corners)
    except (ValueError, ImageError):
        raise ImageError(
            f"got sensitivity '{text[:60]}', wanted a factor and at least three corners X,Y in pixels, such as "
            "'0.5: 10,20 60,20 60,90'"
        ) from None
    if not LEAST_FACTOR <= number <= HIGHEST_FACTOR:
        wanted = f"wanted a factor from {LEAST_FACTOR:g} to {HIGHEST_FACTOR:g}"
        raise ImageError(f"got sensitivity {number:g}, {wanted}; --exclude-polygon leaves an area out")
    try:
        return SensitiveRegion(factor=number, polygon=polygon)
    except ValidationError as error:
        raise ImageError(f"got sensitivity '{text[:60]}': {error.errors()[0]['msg']}") from None


def check_sensitivity(image: Image, sensitivity: Sensitivity | None) -> None:
    """Raise ImageError unless a source image [H, W, C] has the size that the regions were given for."""
    if sensitivity is not None and image.shape[:2] != (sensitivity.height, sensitivity.width):
        wanted = f"{sensitivity.width}×{sensitivity.height}, the size that the sensitivity is given for"
        raise ImageError(f"the image is {image.shape[1]}×{image.shape[0]}, wanted {wanted}")


def factors_of_pixels(view: View, geometry: Geometry) -> NDArray[np.float32]:
    """How much each pixel of the model's input counts by the view's sensitivity, [h, w]; padding counts 1.

    A pixel that shows the edge of a region has the mean of both factors. The array is shared: read only.
    """
    assert view.sensitivity is not None
    return _factors_of_pixels(view.sensitivity, view.crop, geometry, letterbox=view.padding is not None)


@lru_cache(maxsize=8)
def _factors_of_pixels(
    sensitivity: Sensitivity, crop: CropBox | None, geometry: Geometry, *, letterbox: bool
) -> NDArray[np.float32]:
    gains = _cut(sensitivity.gains(), crop)
    box = CropBox(x=0, y=0, width=geometry.width, height=geometry.height)
    if letterbox:
        box = content_box(gains.shape, geometry)
    fitted: Any = cv2.resize(gains, (box.width, box.height), interpolation=cv2.INTER_AREA)
    factors = np.ones((geometry.height, geometry.width), np.float32)
    factors[box.y : box.y + box.height, box.x : box.x + box.width] += fitted
    factors.setflags(write=False)
    return factors


def _cut(gains: NDArray[np.float32], crop: CropBox | None) -> NDArray[np.float32]:
    if crop is None:
        return gains
    return gains[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
