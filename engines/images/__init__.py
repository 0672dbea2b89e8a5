"""From an image file or a camera's array to the model's input frame."""

from engines.images.listing import HEAD_BYTES, SUFFIXES, has_image_content, list_images, natural_order
from engines.images.preprocessing import MOST_STRETCH, Image, check_aspect, check_image, fit, prepare
from engines.images.reading import read_image
from engines.images.shrinking import spans
from engines.images.viewing import as_rgb, overlay, top_of, viewable

__all__ = [
    "HEAD_BYTES",
    "MOST_STRETCH",
    "SUFFIXES",
    "Image",
    "as_rgb",
    "check_aspect",
    "check_image",
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
