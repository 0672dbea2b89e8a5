"""Areas of an image: what counts of it, and how much."""

from engines.images.areas.mask import (
    MaskChoice,
    MaskDocument,
    check_mask,
    cut_mask,
    fill_masked,
    inspected_pixels,
    without_masked,
)
from engines.images.areas.polygons import Polygon, parse_polygon
from engines.images.areas.sensitivity import (
    SensitivityChoice,
    check_sensitivity,
    factors_of_pixels,
    parse_region,
)

__all__ = [
    "MaskChoice",
    "MaskDocument",
    "Polygon",
    "SensitivityChoice",
    "check_mask",
    "check_sensitivity",
    "cut_mask",
    "factors_of_pixels",
    "fill_masked",
    "inspected_pixels",
    "parse_polygon",
    "parse_region",
    "without_masked",
]
