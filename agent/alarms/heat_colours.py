"""The fixed colour scale of heatmaps."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# The scale is linear up to 1.0 in the lower half of the colour map; above, each sixth of the map doubles the value.
HOTTEST = 8.0

_STOPS = (
    # position in the map, BGR
    (0.00, (16, 12, 10)),
    (0.25, (92, 46, 22)),
    (0.499, (150, 96, 40)),
    (0.501, (20, 120, 235)),
    (0.67, (40, 60, 240)),
    (0.84, (120, 210, 255)),
    (1.00, (255, 255, 255)),
)

Image8 = NDArray[np.uint8]
"""BGR [H, W, 3]."""


def colour_of(heat: NDArray[np.float32]) -> Image8:
    """The fixed colours of heat values float32 [h, w], as BGR uint8 [h, w, 3]; values above `HOTTEST` look like it."""
    return _colours()[_position(heat)]


def _position(heat: NDArray[np.float32]) -> NDArray[np.intp]:
    """Index, 0 to 1023, of heat values in the colour map."""
    heat = np.nan_to_num(heat, nan=0.0, posinf=HOTTEST)
    above = 0.5 + 0.5 * np.log2(np.clip(heat, 1.0, HOTTEST)) / np.log2(HOTTEST)
    place = np.where(heat < 1.0, 0.4995 * np.clip(heat, 0.0, 1.0), above)
    return np.asarray(np.round(place * 1023), np.intp)


@cache
def _colours() -> Image8:
    at = np.linspace(0.0, 1.0, 1024)
    positions = [position for position, _ in _STOPS]
    channels = [np.interp(at, positions, [colour[i] for _, colour in _STOPS]) for i in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)
