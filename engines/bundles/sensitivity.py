"""The sensitivity of a view: regions of an image in which what is unusual counts more, or less."""

from __future__ import annotations

from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

_CLOSED = ConfigDict(frozen=True, extra="forbid")

# No image that is read is larger (`engines.images.limits`).
_MAX_SIDE, _MAX_PIXELS = 2**16, 2**28

# Less than a twentieth says next to nothing: a mask excludes the area. With more than ten times, only its noise counts.
LEAST_FACTOR, HIGHEST_FACTOR = 0.05, 10.0

# A part has a few such regions. A person draws each of them with a few dozen corners.
_MAX_REGIONS, _MAX_CORNERS = 50, 1_000

Coordinate = Annotated[float, Field(ge=-(2**16), le=2**17, allow_inf_nan=False)]


class SensitiveRegion(BaseModel):
    """A polygon with a factor."""

    model_config = _CLOSED
    factor: Annotated[float, Field(ge=LEAST_FACTOR, le=HIGHEST_FACTOR, allow_inf_nan=False)]
    """How much what is unusual here counts; 1 is as much as elsewhere."""
    polygon: Annotated[tuple[tuple[Coordinate, Coordinate], ...], Field(min_length=3, max_length=_MAX_CORNERS)]
    """Corners (x, y), pixels of the source image; the last one is joined to the first."""


class Sensitivity(BaseModel):
    """How much each place of the source images counts: 1 outside of all regions; of two regions, the later one."""

    model_config = _CLOSED
    width: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Columns of the source images, pixels."""
    height: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Rows of the source images, pixels."""
    regions: Annotated[tuple[SensitiveRegion, ...], Field(min_length=1, max_length=_MAX_REGIONS)]

    @model_validator(mode="after")
    def _usable(self) -> Sensitivity:
        if self.width * self.height > _MAX_PIXELS:
            raise ValueError(f"the images have {self.width}×{self.height} pixels, wanted at most {_MAX_PIXELS}")
        return self

    def gains(self) -> NDArray[np.float32]:
        """The factor of each pixel of a source image less 1, [H, W]: exactly 0, and no change, where no region is."""
        gains = np.zeros((self.height, self.width), np.float32)
        for region in self.regions:
            corners = np.rint(np.asarray(region.polygon)).astype(np.int32)
            cv2.fillPoly(gains, [corners], region.factor - 1.0)
        return gains

    def __str__(self) -> str:
        """For people: `×0.5, ×2 in regions of 640×480`."""
        factors = ", ".join(f"×{region.factor:g}" for region in self.regions)
        return f"{factors} in {'a region' if len(self.regions) == 1 else 'regions'} of {self.width}×{self.height}"
