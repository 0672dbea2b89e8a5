"""The one way from a source image to a model's input: crop, proportions, size. In training, in scoring and on the line.

The orientation tag is applied before, when the file is read (`engines.images.reading`).
"""

from __future__ import annotations

from engines.bundles import CropBox, Manifest, View
from engines.errors import ImageError
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
    view = manifest.view
    return content_of(cut(image, None if view is None else view.crop), view, manifest.geometry)


def prepare(image: Image, manifest: Manifest) -> Image:
    """From a source image [H, W, C] to the input [h, w, c] of a bundle's model.

    Raises ImageError for another bit depth, for other proportions than those of the training images, and where the
    bundle's crop exceeds the image.
    """
    view = manifest.view
    inspected = cut(image, None if view is None else view.crop)
    check_aspect(inspected, view)
    return fit_to_view(inspected, view, manifest.geometry)
