"""From an image file or a camera's array to the model's input frame."""

from engines.images.letterbox import (
    MOST_STRETCH,
    Content,
    content_box,
    content_of,
    cut_heat,
    fit_to_view,
    pad,
    padding_of,
    stretch,
    without_padding,
)
from engines.images.listing import HEAD_BYTES, SUFFIXES, has_image_content, list_images, natural_order
from engines.images.mask import (
    MaskChoice,
    MaskDocument,
    Polygon,
    check_mask,
    cut_mask,
    fill_masked,
    inspected_pixels,
    parse_polygon,
    without_masked,
)
from engines.images.preprocessing import Image, check_image, fit
from engines.images.reading import read_image, read_shape
from engines.images.shrinking import spans
from engines.images.view import check_aspect, content_in, cut, inspected_part, prepare, prepare_for
from engines.images.viewing import as_rgb, overlay, top_of, viewable

__all__ = [
    "HEAD_BYTES",
    "MOST_STRETCH",
    "SUFFIXES",
    "Content",
    "Image",
    "MaskChoice",
    "MaskDocument",
    "Polygon",
    "as_rgb",
    "check_aspect",
    "check_image",
    "check_mask",
    "content_box",
    "content_in",
    "content_of",
    "cut",
    "cut_heat",
    "cut_mask",
    "fill_masked",
    "fit",
    "fit_to_view",
    "has_image_content",
    "inspected_part",
    "inspected_pixels",
    "list_images",
    "natural_order",
    "overlay",
    "pad",
    "padding_of",
    "parse_polygon",
    "prepare",
    "prepare_for",
    "read_image",
    "read_shape",
    "spans",
    "stretch",
    "top_of",
    "viewable",
    "without_masked",
    "without_padding",
]
