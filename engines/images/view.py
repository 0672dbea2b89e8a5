"""The one way from a source image to a model's input: crop, proportions, size, mask. In training and on the line.

The orientation tag is applied before, when the file is read (`engines.images.reading`).
"""

from __future__ import annotations

from engines.bundles import CropBox, Geometry, Manifest, View
from engines.errors import ImageError
from engines.images.letterbox import MOST_STRETCH, Content, content_of, fit_to_view
from engines.images.mask import check_mask, fill_masked
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


def inspected_part(image: Image, view: View | None) -> Image:
    """The part [h, w, C] of a source image [H, W, C] that a view inspects, not copied; the mask is not applied yet.

    Raises ImageError where the crop exceeds the image, or the image has another size than the mask.
    """
    if view is None:
        return image
    check_mask(image, view.mask)
    return cut(image, view.crop)


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


def content_in(image: Image, manifest: Manifest) -> Content | None:
    """Where the input of a bundle's model shows a source image [H, W, C]; None if it is all of it."""
    return content_of(inspected_part(image, manifest.view), manifest.view, manifest.geometry)


def prepare(image: Image, manifest: Manifest) -> Image:
    """From a source image [H, W, C] to the input [h, w, c] of a bundle's model; ImageError as in `prepare_for`."""
    return prepare_for(image, manifest.view, manifest.geometry)


def prepare_for(image: Image, view: View | None, geometry: Geometry) -> Image:
    """From a source image [H, W, C] to the input [h, w, c] of a model with this view.

    Raises ImageError for another bit depth, for other proportions than those of the training images, where the crop
    exceeds the image, and for another size than that of the mask.
    """
    inspected = inspected_part(image, view)
    check_aspect(inspected, view)
    return fill_masked(fit_to_view(inspected, view, geometry), view, geometry)
