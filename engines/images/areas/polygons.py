"""Polygons in pixels of the source image, as a person gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from engines.bundles import Coordinate
from engines.errors import ImageError

# Corners of a polygon. A hand draws a few dozen.
_MAX_CORNERS = 10_000

Polygon = Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=3, max_length=_MAX_CORNERS)]
"""Corners (x, y), pixels of the source image; the last one is joined to the first."""

_POLYGON: TypeAdapter[Polygon] = TypeAdapter(Polygon)


def parse_polygon(text: str) -> Polygon:
    """The polygon of a text such as `10,20 60,20 60,90`; ImageError for anything else.

    >>> parse_polygon("10,20 60,20 60,90.5")
    ((10.0, 20.0), (60.0, 20.0), (60.0, 90.5))
    """
    try:
        return _POLYGON.validate_python(tuple((float(x), float(y)) for x, y in (c.split(",") for c in text.split())))
    except ValueError:
        raise ImageError(
            f"got polygon '{text[:60]}', wanted at least three corners X,Y in pixels, such as '10,20 60,20 60,90'"
        ) from None


def fill(pixels: NDArray[Any], polygon: Sequence[tuple[float, float]], value: float) -> None:
    """Set the pixels [H, W] inside a polygon and on its edges."""
    cv2.fillPoly(pixels, [np.rint(np.asarray(polygon)).astype(np.int32)], value)


def check_inside(polygon: Sequence[tuple[float, float]], height: int, width: int, origin: str) -> None:
    """Raise ImageError for a polygon that is beside an image of this size, pixels; `origin` is where it comes from."""
    corners = np.asarray(polygon)
    low, high = corners.min(0), corners.max(0)
    if high.min() < 0 or low[0] > width - 1 or low[1] > height - 1:
        raise ImageError(f"{origin}: a polygon is outside the image of {width}×{height}")
