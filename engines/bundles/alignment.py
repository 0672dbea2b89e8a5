"""The alignment of a view: a taught reference, by which parts are found that lie elsewhere or turned."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.bundles.crop_box import CropBox
from engines.bundles.packing import pack_bytes, unpack_bytes

_CLOSED = ConfigDict(frozen=True, extra="forbid")

# Longest side of the stored reference, pixels: a few kB in the manifest, and parts of 380 pixels were found within 0.2
# pixels (benchmarks/alignment).
MAX_REFERENCE_SIDE = 128

# A region of fewer pixels than this, along either side, has too little structure to be found again.
LEAST_REFERENCE_SIDE = 16

_MAX_SIDE = 2**16


class AlignmentLimits(BaseModel):
    """How far from its place in the reference a part may lie, and how much it must resemble it."""

    model_config = _CLOSED
    max_shift_pixels: Annotated[float, Field(ge=0, le=_MAX_SIDE)]
    """Largest shift of the reference's centre along either axis, pixels of the source image."""
    max_angle_degrees: Annotated[float, Field(ge=0, le=180)]
    """Largest turn, either way."""
    least_match: Annotated[float, Field(gt=0, lt=1)]
    """Least correlation with the reference; 1 is the same but for light and contrast."""

    def __str__(self) -> str:
        """For people: `up to 30 px and 15°, match at least 0.5`."""
        return (
            f"up to {self.max_shift_pixels:g} px and {self.max_angle_degrees:g}°, match at least {self.least_match:g}"
        )


class Alignment(BaseModel):
    """What a part is found by, and where it lies in the taught image."""

    model_config = _CLOSED
    width: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Columns of the source images, pixels."""
    height: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Rows of the source images, pixels."""
    region: CropBox
    """The region of the taught image that is looked for."""
    shrunk: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Side of the squares of source pixels whose mean is a pixel of the reference."""
    reference: Annotated[str, Field(max_length=4 * MAX_REFERENCE_SIDE**2)]
    """Gray values of the region, shrunk: uint8, row by row; packed by zlib, then base64."""
    limits: AlignmentLimits

    @classmethod
    def of(
        cls, shape: tuple[int, int], region: CropBox, reference: NDArray[np.uint8], limits: AlignmentLimits
    ) -> Alignment:
        """The alignment by a reference [h, w] of the `region` of an image of `shape` (height, width)."""
        return cls(
            width=shape[1],
            height=shape[0],
            region=region,
            shrunk=region.width // reference.shape[1],
            reference=pack_bytes(reference.tobytes()),
            limits=limits,
        )

    @property
    def reference_shape(self) -> tuple[int, int]:
        """Rows and columns of the reference."""
        return self.region.height // self.shrunk, self.region.width // self.shrunk

    def pixels(self) -> NDArray[np.uint8]:
        """The reference, gray [h, w]."""
        rows, columns = self.reference_shape
        data = unpack_bytes(self.reference, rows * columns, "the reference of the alignment")
        return np.frombuffer(data, np.uint8).reshape(rows, columns)

    @model_validator(mode="after")
    def _usable(self) -> Alignment:
        region = self.region
        if region.x + region.width > self.width or region.y + region.height > self.height:
            raise ValueError(f"the region is {region}, wanted within the image of {self.width}×{self.height}")
        sides = self.reference_shape
        if region.width % self.shrunk or region.height % self.shrunk or max(sides) > MAX_REFERENCE_SIDE:
            raise ValueError(
                f"the region is {region}, wanted a multiple of {self.shrunk} up to {MAX_REFERENCE_SIDE} times"
            )
        if min(sides) < LEAST_REFERENCE_SIDE:
            raise ValueError(
                f"the region is {region}, which is {sides[1]}×{sides[0]} where it is looked for, wanted at least "
                f"{LEAST_REFERENCE_SIDE} along each side"
            )
        if np.ptp(self.pixels()) == 0:
            raise ValueError(f"the region {region} is of one gray value, wanted something that a part is known by")
        return self

    def __str__(self) -> str:
        """For people: `region 300×200 at 10,20, up to 30 px and 15°, match at least 0.5`."""
        return f"region {self.region}, {self.limits}"
