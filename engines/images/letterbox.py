"""Letterbox: an image of another shape keeps its proportions in the model's input, and gray padding fills the rest.

Padding must not count in a score, and engines take nothing but frames. So a frame shows where its image is: the
outermost rows and columns of the image always have a pixel that is not of the padding's value (`_mark`), and the
scoring module finds them (`engines.recipes.content`).

Padding with the edge of the image, or with its mirror image, found no more: docs/decisions has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import CropBox, Geometry, View
from engines.images.preprocessing import Image, fit, three_axes

# More stretch than this deforms parts so that the scores of the training say nothing about them. Multiples of 16 alone
# stretch by up to 1.1.
MOST_STRETCH = 1.1

# Sides and position of the image in the frame are multiples of this where that stretches it by no more than 5 %: the
# finest heatmaps have a value for 4×4 pixels.
_MULTIPLE, _ROUNDING = 4, 1.05

# Images that the padding's value is the median of.
_MEDIAN_IMAGES = 512


Sample = TypeVar("Sample", bound=np.generic)


class Content(NamedTuple):
    """The part of the model's input that shows the image, as shares of its height and width; the rest is padding."""

    top: float
    left: float
    bottom: float
    right: float


def stretch(height: int, width: int, like_height: int, like_width: int) -> float:
    """How much an image of one size, pixels, is stretched when it is fitted to another: 1 is not at all.

    >>> stretch(100, 200, 50, 50)
    2.0
    """
    ratio = (width * like_height) / (height * like_width)
    return max(ratio, 1.0 / ratio)


def content_box(shape: Sequence[int], geometry: Geometry) -> CropBox:
    """Where an image [H, W, …] lies in a frame with letterbox: it fills the frame where it is of about its shape.

    >>> content_box((100, 200), Geometry(64, 64, 1))
    CropBox(x=0, y=16, width=64, height=32)
    """
    height, width = shape[:2]
    if stretch(height, width, geometry.height, geometry.width) <= MOST_STRETCH:
        return CropBox(x=0, y=0, width=geometry.width, height=geometry.height)
    scale = min(geometry.height / height, geometry.width / width)
    rows, columns = _rounded(height * scale, geometry.height), _rounded(width * scale, geometry.width)
    y, x = (_MULTIPLE * (free // (2 * _MULTIPLE)) for free in (geometry.height - rows, geometry.width - columns))
    return CropBox(x=x, y=y, width=columns, height=rows)


def content_of(image: Image, view: View | None, geometry: Geometry) -> Content | None:
    """Where the model's input shows an inspected image [H, W, C]; None if it is all of it."""
    if view is None or view.padding is None:
        return None
    box = content_box(image.shape, geometry)
    if (box.height, box.width) == (geometry.height, geometry.width):
        return None
    return Content(
        box.y / geometry.height,
        box.x / geometry.width,
        (box.y + box.height) / geometry.height,
        (box.x + box.width) / geometry.width,
    )


def cut_heat(heatmap: NDArray[Sample], content: tuple[float, float, float, float] | None) -> NDArray[Sample]:
    """The part of a heatmap, or of one channel of a frame, [h, w], that shows the image, rounded outwards; not copied.

    `content` is a `Content`.

    >>> cut_heat(np.zeros((8, 8), np.float32), Content(0.25, 0.0, 0.8, 1.0)).shape
    (5, 8)
    """
    if content is None:
        return heatmap
    (height, width), (top, left, bottom, right) = heatmap.shape, content
    rows, columns = _cells(top, bottom, height), _cells(left, right, width)
    return heatmap[rows, columns]


def without_padding(frame: Image, content: tuple[float, float, float, float] | None) -> Image:
    """The image of a frame [h, w, c], stretched over all of it: for measures of the whole frame, such as its light."""
    if content is None:
        return frame
    height, width = frame.shape[:2]
    part = frame[_cells(content[0], content[2], height), _cells(content[1], content[3], width)]
    return three_axes(cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR))


def fit_to_view(image: Image, view: View | None, geometry: Geometry) -> Image:
    """Fit an inspected image [H, W, C] to a model's input [h, w, c], with letterbox if the view has one.

    Raises ImageError as `fit` does.
    """
    if view is None or view.padding is None:
        return fit(image, geometry)
    box = content_box(image.shape, geometry)
    content = fit(image, replace(geometry, height=box.height, width=box.width))
    return pad(content, box, view.padding, geometry)


def pad(content: Image, box: CropBox, padding: int, geometry: Geometry) -> Image:
    """A frame [h, w, c] with an image at its place, marked; the image is not written to."""
    frame: Any = np.full(geometry.shape, padding, geometry.dtype)
    part = frame[box.y : box.y + box.height, box.x : box.x + box.width]
    part[:] = content
    _mark(part, padding)
    return cast(Image, frame)


def padding_of(images: list[Image]) -> int:
    """The gray value to pad with: the median of training images.

    >>> padding_of([np.full((2, 2, 1), 7, np.uint8), np.full((2, 2, 1), 9, np.uint8), np.full((2, 2, 1), 9, np.uint8)])
    9
    """
    every = -(-len(images) // _MEDIAN_IMAGES)
    return int(np.median([np.median(image) for image in images[::every]]))


def _cells(start: float, end: float, count: int) -> slice:
    return slice(int(start * count + 1e-6), int(np.ceil(end * count - 1e-6)))


def _rounded(side: float, limit: int) -> int:
    near = _MULTIPLE * max(1, round(side / _MULTIPLE))
    close = max(near / side, side / near) <= _ROUNDING
    return min(limit, near if close else max(1, round(side)))


def _mark(part: Any, padding: int) -> None:
    """Change a corner by one gray level where the first or last line would all be of the padding's value."""
    other = padding - 1 if padding > 0 else 1
    for corner, lines in ((part[0, 0], (part[0], part[:, 0])), (part[-1, -1], (part[-1], part[:, -1]))):
        if any((line == padding).all() for line in lines):
            corner[:] = other
