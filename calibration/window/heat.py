"""The highest heat of good parts at each place, which scales heatmaps so that 1.0 means the same everywhere.

Raw heat has no common scale: an edge whose position varies is always hot, a flat face never is. The level of a place is
the highest heat of any good frame of the window there or next to it, and at least a third of the level of the hottest
places: where good parts show no heat at all, a little noise must not look like a defect.
"""

from __future__ import annotations

import heapq
import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from calibration.arrays import Arrays, stacked
from calibration.errors import CalibrationError

_Heat = NDArray[np.float32]

# Memory limit for the heat of a window.
MAX_BYTES = 48 * 2**20

# Levels extend to the neighbouring cells, since the position of parts varies a little, and are smoothed by one cell.
_REACH_CELLS, _SMOOTH_CELLS = 3, 1.0

# The least level, as a share of the 90 % quantile of all levels.
_FLOOR_SHARE = 1 / 3


class HeatLevels:
    """Highest heat per cell over a window, in bounded memory, from which suspected frames can be left out later.

    Suspected frames always have the highest scores. So the heat of the `left_out` highest-scored frames so far is kept
    separately, and all other heat is merged into one running maximum.
    """

    def __init__(self, *, left_out: int) -> None:
        """Args: left_out: number of frames that can be left out, ≥ 1."""
        self._left_out = max(1, left_out)
        self._shape: tuple[int, int] | None = None
        self._cell = 1
        self._merged: _Heat | None = None
        self._apart: list[tuple[float, int, _Heat]] = []

    def add(self, index: int, score: float, heatmap: _Heat) -> None:
        """Add the heat, float32 [h, w], of the frame at this place of the window.

        Raises:
            CalibrationError: the shape is not [h, w] or differs from the frames before.
        """
        if self._shape is None:
            self._open(heatmap)
        if heatmap.shape != self._shape:
            raise CalibrationError(f"heatmap: got shape {heatmap.shape}, wanted {self._shape} as before")
        entry = (score, index, _pooled(heatmap, self._cell))
        if len(self._apart) < self._left_out:
            heapq.heappush(self._apart, entry)
            return
        coolest = heapq.heappushpop(self._apart, entry)[2]
        self._merged = coolest if self._merged is None else np.maximum(self._merged, coolest, out=self._merged)

    def level(self, suspected: NDArray[np.bool_]) -> _Heat:
        """Return the level of every pixel, float32 [h, w], > 0, without the suspected frames (mask bool [N]).

        Raises:
            CalibrationError: no good frame was added.
        """
        kept = [heat for _, index, heat in self._apart if not suspected[index]]
        highest = [] if self._merged is None else [self._merged]
        if self._shape is None or not (kept or highest):
            raise CalibrationError("heat level: got no good frame, wanted at least one")
        cells = np.maximum.reduce(kept + highest)
        reached = gaussian_filter(maximum_filter(cells, _REACH_CELLS, mode="nearest"), _SMOOTH_CELLS, mode="nearest")
        floor = _FLOOR_SHARE * float(np.quantile(reached, 0.9))
        level = np.maximum(np.maximum(reached, cells), max(floor, np.finfo(np.float32).tiny))
        height, width = self._shape
        full = level.repeat(self._cell, axis=0).repeat(self._cell, axis=1)[:height, :width]
        return np.ascontiguousarray(full, dtype=np.float32)

    def arrays(self) -> Arrays:
        """Return everything but the limit, for `restore`."""
        found: Arrays = {
            "scores": np.array([score for score, _, _ in self._apart]),
            "places": np.array([index for _, index, _ in self._apart], np.int64),
            "apart": stacked([heat for _, _, heat in self._apart]),
            "shape": np.array(self._shape or (), np.int64),
            "cell": np.array(self._cell),
        }
        if self._merged is not None:
            found["merged"] = self._merged.copy()
        return found

    def restore(self, arrays: Arrays) -> None:
        """Continue where another one with the same limit was when it returned these `arrays`."""
        shape = arrays["shape"]
        self._shape = (int(shape[0]), int(shape[1])) if shape.size else None
        self._cell = int(arrays["cell"])
        self._merged = arrays.get("merged")
        entries = zip(arrays["scores"], arrays["places"], arrays["apart"], strict=True)
        self._apart = [(float(score), int(index), heat) for score, index, heat in entries]

    def _open(self, heatmap: _Heat) -> None:
        if heatmap.ndim != 2 or heatmap.size == 0:
            raise CalibrationError(f"heatmap: got shape {heatmap.shape}, wanted [h, w]")
        self._shape = (heatmap.shape[0], heatmap.shape[1])
        affordable = MAX_BYTES / 4 / (self._left_out + 1)
        self._cell = max(1, math.ceil(math.sqrt(heatmap.size / affordable)))


def _pooled(heatmap: _Heat, cell: int) -> _Heat:
    """Return the highest heat of each square of cell x cell pixels, including incomplete ones: float32, a copy."""
    if cell == 1:
        return np.array(heatmap, dtype=np.float32)
    height, width = heatmap.shape
    padded = np.pad(heatmap, ((0, -height % cell), (0, -width % cell)), mode="edge")
    rows, columns = padded.shape[0] // cell, padded.shape[1] // cell
    return np.asarray(padded.reshape(rows, cell, columns, cell).max(axis=(1, 3)), dtype=np.float32)
