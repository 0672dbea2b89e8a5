"""The alignment that a person asks for: an image, a region of it, and how far parts may lie from there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from engines.bundles import MAX_REFERENCE_SIDE, Alignment, AlignmentLimits, CropBox, View
from engines.errors import ImageError
from engines.images.alignment.finder import shrink_reference
from engines.images.detector import corrected
from engines.images.reading import read_image

# A tenth of the image's longer side, and what a part that slides along a guide turns by.
_SHIFT_SHARE, _ANGLE_DEGREES = 0.1, 15.0

# What training images must match by to be trained on, before it is known how well parts match.
_LEAST_MATCH = 0.4

# Good parts match by about the same: solar cells, which all differ, by 0.7 to 0.9, simulated plates by 0.99.
# What has less than this share of the usual match is no part.
_USUAL_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class LimitChanges:
    """Limits that a person gives; None: as they are."""

    max_shift_pixels: float | None = None
    max_angle_degrees: float | None = None
    least_match: float | None = None

    def applied_to(self, alignment: Alignment) -> Alignment:
        """The alignment with these limits."""
        given = {name: getattr(self, name) for name in AlignmentLimits.model_fields if getattr(self, name) is not None}
        return alignment.model_copy(update={"limits": alignment.limits.model_copy(update=given)})


@dataclass(frozen=True, slots=True)
class AlignmentChoice:
    """An alignment as a person gives it."""

    file: Path
    """An image that shows a part as it should lie, of the size of the source images."""
    region: CropBox | None = None
    """What of it is looked for; None: all of it."""
    limits: LimitChanges = LimitChanges()

    def for_size(self, height: int, width: int, view: View | None = None) -> Alignment:
        """The alignment of images of this size, pixels. Raises ImageError where it does not fit or shows too little.

        view: corrects the image, as those that a part is looked for in.
        """
        image = corrected(read_image(self.file), view)
        if image.shape[:2] != (height, width):
            got = f"{image.shape[1]}×{image.shape[0]}"
            raise ImageError(f"{self.file}: the image to align with is {got}, the images are {width}×{height}")
        region = self.region or CropBox(x=0, y=0, width=width, height=height)
        if region.x + region.width > width or region.y + region.height > height:
            raise ImageError(f"{self.file}: the region is {region}, wanted within the image of {width}×{height}")
        factor = -(-max(region.width, region.height) // MAX_REFERENCE_SIDE)
        whole = _in_multiples(region, factor)
        usual = AlignmentLimits(
            max_shift_pixels=round(_SHIFT_SHARE * max(height, width)),
            max_angle_degrees=_ANGLE_DEGREES,
            least_match=_LEAST_MATCH,
        )
        try:
            reference = _eight_bits(shrink_reference(image, whole, factor))
            return self.limits.applied_to(Alignment.of((height, width), whole, reference, usual))
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise ImageError(f"{self.file}: {reason}") from None


def learned_limits(alignment: Alignment, choice: AlignmentChoice, matches: Sequence[float]) -> Alignment:
    """The alignment with a least match by those of the training images, unless the person gave one."""
    if choice.limits.least_match is not None or not matches:
        return alignment
    least = max(_LEAST_MATCH, round(_USUAL_SHARE * float(np.median(matches)), 2))
    return LimitChanges(least_match=least).applied_to(alignment)


def _in_multiples(region: CropBox, factor: int) -> CropBox:
    """The region without what no whole pixel of the reference covers, in its middle."""
    width, height = max(1, region.width // factor) * factor, max(1, region.height // factor) * factor
    return CropBox(
        x=region.x + max(0, region.width - width) // 2,
        y=region.y + max(0, region.height - height) // 2,
        width=width,
        height=height,
    )


def _eight_bits(gray: np.ndarray) -> np.ndarray:
    """Gray values in the range of 8 bits; a correlation does not depend on it."""
    low, high = float(gray.min()), float(gray.max())
    return np.rint((gray - low) * (255.0 / max(high - low, 1e-6))).astype(np.uint8)
