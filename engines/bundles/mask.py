"""The mask of a view: which pixels of an image count, packed into a line of text for the manifest."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from engines.bundles.packing import pack_bytes, unpack_bytes

# Sides up to this, pixels: no image that is read is larger (`engines.images.limits`).
_MAX_SIDE = 2**16
_MAX_PIXELS = 2**28

# A manifest has at most 2 MB. Polygons and painted areas of any camera need a few kB; noise needs more than this.
MAX_MASK_BYTES = 1_000_000


class Mask(BaseModel):
    """Which pixels of the source image are inspected."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    width: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Columns of the source images, pixels."""
    height: Annotated[int, Field(gt=0, le=_MAX_SIDE)]
    """Rows of the source images, pixels."""
    excluded: Annotated[str, Field(max_length=MAX_MASK_BYTES)]
    """A bit per pixel, row by row, 1 where it does not count; packed by zlib, then base64."""

    @classmethod
    def of(cls, inspected: NDArray[np.bool_]) -> Mask:
        """The mask of [H, W], True where a pixel counts. ValueError if it cannot be stored, or nothing counts.

        >>> mask = Mask.of(np.array([[True, False, True]]))
        >>> mask.width, mask.height, mask.inspected().tolist()
        (3, 1, [[True, False, True]])
        """
        height, width = inspected.shape
        packed = pack_bytes(np.packbits(~inspected).tobytes())
        if len(packed) > MAX_MASK_BYTES:
            raise ValueError(f"the mask has too much detail: {len(packed)} bytes, wanted at most {MAX_MASK_BYTES}")
        return cls(width=width, height=height, excluded=packed)

    def inspected(self) -> NDArray[np.bool_]:
        """Which pixels count: [height, width], True where they do."""
        bits = np.frombuffer(unpack_bytes(self.excluded, -(-self.width * self.height // 8), "the mask"), np.uint8)
        excluded = np.unpackbits(bits, count=self.width * self.height)
        return np.asarray(excluded == 0).reshape(self.height, self.width)

    @model_validator(mode="after")
    def _usable(self) -> Mask:
        if self.width * self.height > _MAX_PIXELS:
            raise ValueError(f"the mask has {self.width}×{self.height} pixels, wanted at most {_MAX_PIXELS}")
        if not self.inspected().any():
            raise ValueError("the mask excludes the whole image, wanted some of it to inspect")
        return self

    def __str__(self) -> str:
        """For people: `12 % of 640×480 excluded`."""
        share = 1.0 - float(self.inspected().mean())
        return f"{100 * share:.2g} % of {self.width}×{self.height} excluded"
