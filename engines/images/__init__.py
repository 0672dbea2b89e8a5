"""From an image file or a camera's array to the model's input frame."""

from engines.images.listing import HEAD_BYTES, SUFFIXES, has_image_content, list_images, natural_order
from engines.images.preprocessing import Image, check_image, fit
from engines.images.reading import read_image
from engines.images.shrinking import spans
from engines.images.view import MOST_STRETCH, check_aspect, cut, prepare
from engines.images.viewing import as_rgb, overlay, top_of, viewable

__all__ = [
    "HEAD_BYTES",
    "MOST_STRETCH",
    "SUFFIXES",
    "Image",
    "as_rgb",
    "check_aspect",
    "check_image",
    "cut",
    "fit",
    "has_image_content",
    "list_images",
    "natural_order",
    "overlay",
    "prepare",
    "read_image",
    "spans",
    "top_of",
    "viewable",
]
