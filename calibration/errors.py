"""The error of this package: one line with what was wanted and what was found instead."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ImageEvidence = tuple[int, NDArray[np.uint8]]
"""A frame's place in the window (from 0) and its thumbnail, uint8 [h, w, c] with c = 1 (gray) or 3 (BGR)."""


class CalibrationError(ValueError):
    """A window, a setting or a record that cannot be used; `str()` is one line for the user."""

    expected = True
    """Reported in one line, without a traceback: the user can act on it."""

    def __init__(self, message: str, *, images: Sequence[ImageEvidence] = ()) -> None:
        super().__init__(message)
        self.images: list[ImageEvidence] = list(images)
        """The images in question, possibly none: (place in the window, thumbnail)."""
