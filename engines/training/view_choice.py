"""What of the training images is inspected, as a person chose it: crop and mask, checked against the images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engines.bundles import CropBox, Frames, Geometry, View
from engines.errors import ImageError, TrainingError
from engines.images import Image, MaskChoice, fill_masked, inspected_part, inspected_pixels, read_image, read_shape

# Images that the size of a mask is compared with; the most frequent size counts.
_SIZES = 16

# Frames that the fill is the median of.
_FILL_FRAMES = 256


@dataclass(frozen=True, slots=True)
class ViewChoice:
    """What of the images is inspected: crop and mask, or those of a bundle's view."""

    crop: CropBox | None = None
    mask: MaskChoice | None = None
    like: View | None = None
    """A view to take both from."""


WHOLE_IMAGE = ViewChoice()


def chosen_view(paths: Sequence[Path], crop: CropBox | None, mask: MaskChoice | None, like: View | None = None) -> View:
    """The crop and the mask of a training; the other fields of this view say nothing yet.

    Raises TrainingError where the mask does not fit the images.
    """
    if like is not None:
        return like
    nothing = View(lowest_aspect=1.0, highest_aspect=1.0, crop=crop)
    if mask is None:
        return nothing
    try:
        chosen = mask.for_size(*_usual_size(paths))
    except ImageError as error:
        raise TrainingError(str(error)) from None
    return nothing.model_copy(update={"mask": chosen, "fill": (0,)})


def read_inspected(path: Path, part: View) -> Image:
    """Read an image and cut the inspected part out; ImageError, with the path, where that fails."""
    image = read_image(path)
    try:
        return inspected_part(image, part)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None


def with_fill(frames: Frames, view: View, geometry: Geometry, *, keep: bool) -> tuple[Frames, View]:
    """Fill what is masked of frames [N, h, w, C], with the median of what is not; `keep` the fill of the view.

    Returns the frames and the view with its fill. Raises TrainingError where the mask leaves nothing.
    """
    if view.mask is None:
        return frames, view
    try:
        inspected = inspected_pixels(view, geometry)
    except ImageError as error:
        raise TrainingError(str(error)) from None
    if not keep or len(view.fill) != geometry.channels:
        some: Any = frames[:: -(-len(frames) // _FILL_FRAMES)]
        fill = tuple(int(value) for value in np.median(some[:, inspected], axis=(0, 1)))
        view = view.model_copy(update={"fill": fill})
    filled: Any = np.stack([fill_masked(frame, view, geometry) for frame in frames])
    return filled, view


def _usual_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Height and width of most of the images, pixels. Raises ImageError if none of the first can be read."""
    sizes: Counter[tuple[int, int]] = Counter()
    for path in paths[:: -(-len(paths) // _SIZES)]:
        with suppress(ImageError):
            sizes[read_shape(path)] += 1
    if not sizes:
        raise ImageError(f"{paths[0].parent}: no image of {len(paths)} could be read, wanted some to fit the mask to")
    return sizes.most_common(1)[0][0]
