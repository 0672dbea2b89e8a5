"""The images of a window as the source delivers them: their size, and the levels between which they are shown."""

from __future__ import annotations

import numpy as np

from calibration.arrays import Arrays
from calibration.camera.image_measures import Pixels, sampled_pixels
from calibration.camera.references import SourceReference

# Levels that all but one in a thousand pixels of an image keep within, and the margin on both sides of them, as a
# share: a defect may be darker or brighter than every good part.
_OUTSIDE, _MARGIN = 0.001, 0.1


class SourceImages:
    """Collects sizes and levels over one window."""

    def __init__(self) -> None:
        self._sizes: set[tuple[int, int]] = set()
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._full = 255

    def add(self, size: tuple[int, int], inspected: Pixels) -> None:
        """Add one more image.

        Args:
            size: (height, width) of the source image, pixels.
            inspected: the part that is inspected, uint8 or uint16 [H, W, C].
        """
        self._sizes.add(size)
        low, high = np.quantile(sampled_pixels(inspected), (_OUTSIDE, 1.0 - _OUTSIDE))
        self._lows.append(float(low))
        self._highs.append(float(high))
        self._full = int(np.iinfo(inspected.dtype).max)

    def arrays(self) -> Arrays:
        """Return everything, for `restore`."""
        return {
            "sizes": np.array(sorted(self._sizes), np.int64).reshape(-1, 2),
            "lows": np.array(self._lows),
            "highs": np.array(self._highs),
            "full": np.array(self._full),
        }

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one was when it returned these `arrays`."""
        self._sizes = {(height, width) for height, width in arrays["sizes"].tolist()}
        self._lows, self._highs = arrays["lows"].tolist(), arrays["highs"].tolist()
        self._full = int(arrays["full"])

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) of the source images, pixels; None where there were several sizes, or none yet."""
        return next(iter(self._sizes)) if len(self._sizes) == 1 else None

    def reference(self) -> SourceReference | None:
        """The size that all images had, and the levels; None before the first image.

        Images of 8 bits are shown as they are.

        >>> images = SourceImages()
        >>> for level in (800, 3000): images.add((480, 640), np.full((8, 8, 1), level, np.uint16))
        >>> images.reference()
        SourceReference(height=480, width=640, black=580, white=3220)
        """
        if not self._lows:
            return None
        height, width = self.size or (None, None)
        black, white = 0, self._full
        if self._full > 255:
            low, high = min(self._lows), max(self._highs)
            margin = _MARGIN * (high - low)
            black, white = max(0, round(low - margin)), min(self._full, round(high + margin))
        return SourceReference(height, width, black, max(white, black + 1))
