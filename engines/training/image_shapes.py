"""The shapes of training images decide the model's size, and whether images of other shapes are padded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engines.bundles import CropBox, Geometry, View
from engines.errors import ImageError
from engines.images import MOST_STRETCH, Image, content_box, fit, read_shape

# The automatic size: multiples of 16 suit every recipe; two cores score frames of 256 pixels 50 times a second.
MULTIPLE = 16
LONGEST_SIDE = 256
_SHORTEST_SIDE = 32

# Images that the automatic size shrinks by more than this may lose their smallest defects: a warning. Circuit boards of
# 640 pixels with defects of ten: per-region overlap (PRO) 0.75 at 256, 0.89 at 640.
_MUCH_SMALLER = 2.0

# One image in so many may have another shape and be left out: a file that does not belong there. More of them are
# parts of other shapes.
_ODD_ONES = 50

# More padding than this, as a share of the model's input, is worth a line: it takes time and shows nothing.
_MUCH_PADDING = 0.25


Size = tuple[int, int]
"""Height and width, pixels."""

SizeChooser = Callable[[Size], tuple[Size, tuple[str, ...]]]
"""From the typical size of the images to that of the model's input, with warnings."""


class Fitted(NamedTuple):
    """An image at the model's scale, before it is padded."""

    path: Path
    pixels: Image
    """[h, w, C], with the file's own channels and depth."""
    box: CropBox
    """Where it lies in the frame."""
    aspect: float
    """Width over height of the image before it was fitted."""
    match: float | None = None
    """How well the part matches the taught one; None without alignment."""


def automatic_size(height: int, width: int) -> tuple[int, int]:
    """Choose the model's input size (height, width) for images of this size, in pixels: multiples of 16.

    The longest side is rounded up to a multiple of 16, 256 at most; the aspect ratio is kept.

    >>> automatic_size(28, 28), automatic_size(100, 100), automatic_size(480, 640)
    ((32, 32), (112, 112), (192, 256))
    """
    longest = max(height, width)
    return size_with_longest(min(MULTIPLE * -(-longest // MULTIPLE), LONGEST_SIDE), height, width)


def usual_size(own: Size) -> tuple[Size, tuple[str, ...]]:
    """The automatic size for images of the size `own`, with warnings."""
    size = automatic_size(*own)
    return size, warn_of_shrinking(own, size)


def size_with_longest(side: int, height: int, width: int) -> tuple[int, int]:
    """The input size whose longest side is `side`, pixels, for images of this size: multiples of 16."""
    scale = side / max(height, width)
    high, wide = (max(_SHORTEST_SIDE, MULTIPLE * round(each * scale / MULTIPLE)) for each in (height, width))
    return high, wide


def shapes_of(paths: Sequence[Path], view: View) -> list[tuple[int, int]]:
    """Height and width of what is inspected of each readable image, from the heads of the files."""
    shapes, crop = [], view.crop
    for path in paths:
        with suppress(ImageError):
            height, width = read_shape(path, view.reading)
            if crop is None:
                shapes.append((height, width))
            elif crop.x + crop.width <= width and crop.y + crop.height <= height:
                shapes.append((crop.height, crop.width))
    return shapes or [(_SHORTEST_SIDE, _SHORTEST_SIDE)]


def typical_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Height and width with the median aspect ratio and the median longest side of (height, width) pairs.

    >>> typical_shape([(100, 200), (110, 200), (400, 150)])
    (110, 200)
    """
    aspect = float(np.median([height / width for height, width in shapes]))
    longest = float(np.median([max(shape) for shape in shapes]))
    return max(1, round(longest * min(1.0, aspect))), max(1, round(longest * min(1.0, 1.0 / aspect)))


def fitted(path: Path, image: Image, size: tuple[int, int], *, letterbox: bool) -> Fitted:
    """Shrink an inspected image [H, W, C] to a model of `size` (height, width): without stretch, if `letterbox`."""
    gray, bits = image.shape[2] == 1, 8 if image.dtype == np.uint8 else 16
    box = CropBox(x=0, y=0, width=size[1], height=size[0])
    if letterbox:
        box = content_box(image.shape, Geometry(*size, 1))
    own = Geometry(box.height, box.width, 1 if gray else 3, 8 if bits == 8 else 16, "GRAY" if gray else "BGR")
    return Fitted(path, fit(image, own), box, image.shape[1] / image.shape[0])


def without_odd_ones(images: list[Fitted], size: tuple[int, int]) -> tuple[list[Fitted], list[str]]:
    """Leave images of another shape out if they are very few, with a line for each; otherwise none."""
    odd = [each for each in images if (each.box.height, each.box.width) != size]
    if not odd or len(odd) > len(images) // _ODD_ONES:
        return images, []
    usual = float(np.median([each.aspect for each in images]))
    lines = [
        f"{each.path}: {each.aspect:.2f} times as wide as high, most images here are {usual:.2f} times" for each in odd
    ]
    return [each for each in images if (each.box.height, each.box.width) == size], lines


def view_of(aspects: Sequence[float]) -> View:
    """The view of images with these aspect ratios; one in fifty may be outside.

    >>> view_of([1.0] * 60 + [4.0]).highest_aspect
    1.0
    """
    ordered, outside = sorted(aspects), len(aspects) // _ODD_ONES
    return View(lowest_aspect=round(ordered[outside], 4), highest_aspect=round(ordered[-1 - outside], 4))


def warn_of_shapes(images: Sequence[Fitted], size: tuple[int, int], *, letterbox: bool) -> tuple[str, ...]:
    """Warn of images that are stretched, or of much padding."""
    height, width = size
    if letterbox:
        padding = 1.0 - float(np.mean([each.box.height * each.box.width for each in images])) / (height * width)
        if padding <= _MUCH_PADDING:
            return ()
        return (
            f"{padding:.0%} of the model's input of {width}×{height} is padding on average, since the images have "
            "other shapes: choose a --size of their shape, crop all alike, or train a model for each shape",
        )
    stretches = [max(ratio, 1.0 / ratio) for ratio in (each.aspect * height / width for each in images)]
    count = sum(each > MOST_STRETCH for each in stretches)
    if not count:
        return ()
    return (
        f"{count} of {len(images)} images have another shape than {width}×{height} and are stretched, by up to "
        f"{max(stretches):.1f} times: choose a --size of their shape, crop all alike, or train a model for each shape",
    )


def warn_of_shrinking(own: tuple[int, int], size: tuple[int, int]) -> tuple[str, ...]:
    """Warn where images of the size `own` lose small defects in a model of `size`, both (height, width)."""
    (own_height, own_width), (height, width) = own, size
    times = max(own) / max(size)
    if times <= _MUCH_SMALLER:
        return ()
    return (
        f"images of {own_width}×{own_height} are shrunk to {width}×{height}: a defect of 10 pixels becomes "
        f"{10 / times:.0f} pixels; a larger --size keeps more detail and makes scoring slower",
    )
