"""How much of the view differs from the empty one: by that, a part is known to be there."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Image

# The region is compared at this size: 0.1 ms, and neither noise nor the grain of a belt is left.
_SIDE = 64

# Ratios of two images closer to each other than this are equal: 15 %. Below this share of white, ratios say nothing.
_TOLERANCE, _FLOOR = 0.15, 0.04

# The light may become so much brighter or darker; a black image is no empty view.
_MOST_GAIN = np.log(2.5)

# If one gain explains all but this share of the region, the light has changed: a part that fills all of it evenly
# cannot be distinguished from that.
_LIGHT_ONLY = 0.03

# With each empty image, the background moves by this share towards it: dirt and wear are no parts.
_ADAPTION = 0.02

_BINS = 57


class PresenceMeter:
    """Measures each image of a camera. For one thread at a time."""

    def __init__(self, background: Image, region: Crop | None, leave: float) -> None:
        """Args:
        background: an image [H, W, C] of the empty view, of the same size and depth as those of the camera.
        region: what is compared, pixels of the source image; None: all of it.
        leave: below this share, an image shows no part, and the background adapts to it.

        Raises Permanent where the region exceeds the image.
        """
        self._shape, self._dtype = background.shape, background.dtype
        self._region = region
        self._leave = leave
        self._empty = self._reduced(background)
        self._gain = 0.0

    def __call__(self, image: Image) -> float:
        """The share of the region in which a source image [H, W, C] differs from the empty view, 0..1.

        Raises Permanent for an image of another size or depth.
        """
        if image.shape != self._shape or image.dtype != self._dtype:
            raise Permanent(
                f"parts.presence.background is {_described(self._shape, self._dtype)}, the camera's image "
                f"{_described(image.shape, image.dtype)}; wanted the same"
            )
        reduced = self._reduced(image)
        ratio = np.log(reduced / self._empty)
        share = _share(ratio, self._gain)
        if share > _LIGHT_ONLY:
            gain = _usual(ratio)
            if _share(ratio, gain) <= _LIGHT_ONLY:
                self._gain, share = gain, _share(ratio, gain)
        if share < self._leave:
            self._gain = _usual(ratio)
            self._empty += _ADAPTION * (reduced * np.float32(np.exp(-self._gain)) - self._empty)
        return share

    def _reduced(self, image: Image) -> Any:
        """The region at the size of comparison: float32 [side, side, C], above 0."""
        part = image if self._region is None else self._region.cut(image)
        white = float(np.iinfo(image.dtype).max)
        reduced = cv2.resize(part, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / white
        return reduced.reshape(_SIDE, _SIDE, -1) + np.float32(_FLOOR)


def _share(ratio: Any, gain: float) -> float:
    """The share of the pixels whose log ratio [h, w, C] to the background is not this gain, in one colour at least."""
    return float((np.abs(ratio - gain) > _TOLERANCE).any(axis=2).mean())


def _usual(ratio: Any) -> float:
    """The log gain that most pixels have, in the middle of the fullest bins."""
    counts, edges = np.histogram(ratio, _BINS, (-_MOST_GAIN, _MOST_GAIN))
    middle = int(np.argmax(np.convolve(counts, np.ones(3), "same")))
    low, high = edges[max(0, middle - 1)], edges[min(_BINS, middle + 2)]
    inside = ratio[(ratio >= low) & (ratio <= high)]
    return float(np.median(inside)) if inside.size else 0.0


def _described(shape: tuple[int, ...], dtype: Any) -> str:
    colours = "gray" if shape[2] == 1 else "colour"
    return f"{shape[1]}×{shape[0]} {colours}, {8 * np.dtype(dtype).itemsize} bit"
