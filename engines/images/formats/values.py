"""Values that are not stored as 8 or 16 bits unsigned: float, and those that a file rescales."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import ImageError

_MAX = 65_535


def to_16_bits(path: Path, values: NDArray[Any], value_range: tuple[float, float] | None) -> NDArray[np.uint16]:
    """Values of any type and shape as 16 bits: by the range, or unchanged where they are whole numbers of 0 to 65535.

    The range is given, never taken from the image: the same value is the same gray in every image. Raises ImageError
    for values that are no numbers, and for others without a range.

    >>> to_16_bits(Path("a.tif"), np.array([0.0, 0.5, 1.5]), (0.0, 1.0)).tolist()
    [0, 32768, 65535]
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{path}: some values are not finite numbers")
    if value_range is None:
        if low < 0 or high > _MAX or not (np.floor(values) == values).all():
            raise ImageError(
                f"{path}: values of {low:g} to {high:g} that 16 bits do not hold; wanted the range to map to black and "
                "white: value_range in the settings of the source, --value-range in training"
            )
        return values.astype(np.uint16)
    black, white = value_range
    scaled = (values.astype(np.float64) - black) * (_MAX / (white - black))
    return np.rint(np.clip(scaled, 0, _MAX)).astype(np.uint16)
