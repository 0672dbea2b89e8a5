"""The one way from a source image to a model's input, in training and on the line: detector correction, alignment,
crop, proportions, size, mask.

The orientation tag is applied before, when the file is read (`engines.images.reading`).
"""

from __future__ import annotations

from typing import NamedTuple

from engines.bundles import CropBox, Geometry, Manifest, View
from engines.errors import ImageError
from engines.images.alignment import Pose, check_aligned_size, cut_upright, find_part
from engines.images.areas import check_mask, check_sensitivity, fill_masked
from engines.images.detector import corrected
from engines.images.letterbox import MOST_STRETCH, Content, content_of, fit_to_view
from engines.images.preprocessing import Image


def cut(image: Image, crop: CropBox | None) -> Image:
    """The part [h, w, C] of a source image [H, W, C] that is inspected, not copied; all of it without a crop.

    Raises ImageError where the crop exceeds the image.
    """
    if crop is None:
        return image
    height, width = image.shape[:2]
    if crop.x + crop.width > width or crop.y + crop.height > height:
        raise ImageError(f"crop is {crop}, wanted within the image of {width}×{height}")
    return image[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]


class Inspected(NamedTuple):
    """What a view inspects of a source image."""

    image: Image
    """[h, w, C]; not copied unless the view has an alignment. The mask is not applied yet."""
    pose: Pose | None
    """How the part lies in the source image; None for a view without alignment."""


class Prepared(NamedTuple):
    """A source image on its way into a model."""

    pixels: Image
    """The model's input, [h, w, c]."""
    content: Content | None
    """Where it shows the image; None if it is all of it."""
    pose: Pose | None
    """As in `Inspected`."""


def inspect(image: Image, view: View | None) -> Inspected:
    """What a view inspects of a source image [H, W, C].

    Raises ImageError where the crop exceeds the image, or correction, mask, sensitivity or alignment are for images
    of another size; PartNotFoundError where the part is not in it.
    """
    if view is None:
        return Inspected(image, None)
    image = corrected(image, view)
    pose = None if view.alignment is None else find_part(image, view.alignment)
    return Inspected(cut_as(image, view, pose), pose)


def cut_as(image: Image, view: View | None, pose: Pose | None, *, nearest: bool = False) -> Image:
    """The part [h, w, C] of an image [H, W, C] that a view inspects where the part lies like this.

    Also for an image that belongs to a source image, such as a mask of its defects: `nearest` as in `cut_upright`.
    Raises ImageError as `inspect` does.
    """
    if view is None:
        return image
    check_mask(image, view.mask)
    check_sensitivity(image, view.sensitivity)
    if pose is None or view.alignment is None or view.crop is None:
        return cut(image, view.crop)
    check_aligned_size(image, view.alignment)
    return cut_upright(image, pose, view.crop, nearest=nearest)


def check_aspect(inspected: Image, view: View | None) -> None:
    """Raise ImageError if an inspected part has other proportions than those that the model was trained on.

    A model with letterbox takes all proportions.
    """
    height, width = inspected.shape[:2]
    if view is None or view.padding is not None or view.stretch(height, width) <= MOST_STRETCH:
        return
    wanted = f"{view.lowest_aspect:.2f}"
    if view.highest_aspect > view.lowest_aspect:
        wanted = f"{wanted} to {view.highest_aspect:.2f}"
    raise ImageError(
        f"the image is {width}×{height}, {width / height:.2f} times as wide as high; the model was trained on images "
        f"that are {wanted} times as wide as high"
    )


def prepare(image: Image, manifest: Manifest) -> Prepared:
    """From a source image [H, W, C] to the input of a bundle's model; ImageError as in `prepare_for`."""
    return prepare_for(image, manifest.view, manifest.geometry)


def prepare_for(image: Image, view: View | None, geometry: Geometry) -> Prepared:
    """From a source image [H, W, C] to the input of a model with this view.

    Raises ImageError for another bit depth, for other proportions than those of the training images, and as `inspect`
    does.
    """
    inspected, pose = inspect(image, view)
    check_aspect(inspected, view)
    pixels = fill_masked(fit_to_view(inspected, view, geometry), view, geometry)
    return Prepared(pixels, content_of(inspected, view, geometry), pose)
