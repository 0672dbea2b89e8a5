"""From an image file or a camera's array to the model's input frame."""

from engines.bundles import FileReading, RawFormat
from engines.images.alignment import (
    AlignmentChoice,
    LimitChanges,
    Pose,
    cut_upright,
    find_part,
    learned_limits,
)
from engines.images.formats.numbering import file_of, frame_path
from engines.images.frames import frame_count, images_of
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
from engines.images.listing import HEAD_BYTES, SUFFIXES, has_image_content, list_images, natural_order, suffixes_read
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
from engines.images.view import (
    Inspected,
    Prepared,
    check_aspect,
    cut,
    cut_as,
    inspect,
    prepare,
    prepare_for,
)
from engines.images.viewing import as_rgb, overlay, top_of, viewable

__all__ = [
    "HEAD_BYTES",
    "MOST_STRETCH",
    "SUFFIXES",
    "AlignmentChoice",
    "Content",
    "FileReading",
    "Image",
    "Inspected",
    "LimitChanges",
    "MaskChoice",
    "MaskDocument",
    "Polygon",
    "Pose",
    "Prepared",
    "RawFormat",
    "as_rgb",
    "check_aspect",
    "check_image",
    "check_mask",
    "content_box",
    "content_of",
    "cut",
    "cut_as",
    "cut_heat",
    "cut_mask",
    "cut_upright",
    "file_of",
    "fill_masked",
    "find_part",
    "fit",
    "fit_to_view",
    "frame_count",
    "frame_path",
    "has_image_content",
    "images_of",
    "inspect",
    "inspected_pixels",
    "learned_limits",
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
    "suffixes_read",
    "top_of",
    "viewable",
    "without_masked",
    "without_padding",
]
