"""The part of the image that is inspected, and the way back to the source image."""

from __future__ import annotations

from dataclasses import replace

from pydantic import (
    NonNegativeInt,
    PositiveInt,
)

from agent.core.errors import Permanent
from agent.core.records import Image, Region
from agent.core.section import Section


class Crop(Section):
    """The part of the image that is inspected, in pixels of the source image; with alignment, of the taught image."""

    x: NonNegativeInt
    y: NonNegativeInt
    width: PositiveInt
    height: PositiveInt

    def cut(self, image: Image) -> Image:
        """The inspected part of a source image [H, W, C], not copied. Raises Permanent where it exceeds the image."""
        height, width = image.shape[:2]
        if self.x + self.width > width or self.y + self.height > height:
            raise Permanent(
                f"crop is {self.width}×{self.height} at {self.x},{self.y}, wanted within the image of {width}×{height}"
            )
        return image[self.y : self.y + self.height, self.x : self.x + self.width]

    def to_source(self, region: Region) -> Region:
        """A region in pixels of the inspected part, in those of the source image.

        >>> Crop(x=100, y=50, width=512, height=512).to_source(Region(x=8, y=4, width=40, height=30, peak=2.0))
        Region(x=108, y=54, width=40, height=30, peak=2.0)
        """
        return replace(region, x=region.x + self.x, y=region.y + self.y)
