"""What calibration reports on purpose, in one line: what was got and what was wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ImageEvidence = tuple[int, NDArray[np.uint8]]
"""A frame's place in the window (from 0) and its thumbnail, uint8 [h, w, c] with c = 1 (gray) or 3 (BGR)."""


class CalibrationError(ValueError):
    """A window, a setting or a record that calibration cannot use; `str()` is one line for the user."""

    def __init__(self, message: str, *, pictures: Sequence[ImageEvidence] = ()) -> None:
        super().__init__(message)
        self.pictures: list[ImageEvidence] = list(pictures)
        """The frames to look at, where there are any: (place in the window, thumbnail)."""
