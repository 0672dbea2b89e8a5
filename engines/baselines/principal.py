"""Principal axes of long rows from few frames, for PCA and for RaPP's whitening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

# Least singular value, as a share of the largest; smaller ones are rounding errors of the float32 rows.
_NUMERIC_RANK = 1e-5

# Values that are converted to float64 at a time: 256 MB in addition to the rows themselves.
_CHUNK_VALUES = 32_000_000


@dataclass(frozen=True, slots=True)
class Axes:
    """Mean and principal axes of rows."""

    mean: Rows
    """[D]."""
    axes: Rows
    """[r, D], orthonormal, by falling singular value; r is the numeric rank or less."""
    singular_values: NDArray[np.float64]
    """[r], of the centred rows."""

    def coordinates(self, rows: Rows) -> Rows:
        """Project rows [N, D] on the axes: [N, r]."""
        result: Rows = (rows - self.mean) @ self.axes.T
        return result


def principal_axes(rows: Rows, share: float = 1.0) -> Axes:
    """Find the principal axes of rows [N, D] that hold `share` of the variance, 0 … 1; at least one.

    Uses the smaller of the two Gram matrices, [N, N] of the rows or [D, D] of the columns, in float64.

    >>> rng = np.random.default_rng(0)
    >>> rows = (rng.normal(0, 1, (200, 3)) * (5, 1, 0.1)).astype(np.float32)
    >>> found = principal_axes(rows, share=0.99)
    >>> len(found.axes), np.abs(found.axes[0]).round(1).tolist()
    (2, [1.0, 0.0, 0.0])
    """
    mean = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = rows - mean
    wide = centred.shape[1] > centred.shape[0]
    values, vectors = np.linalg.eigh(_gram(centred if wide else np.ascontiguousarray(centred.T)))
    values, vectors = values[::-1].clip(min=0.0), vectors[:, ::-1]
    kept = _kept(values, share)
    singular = np.sqrt(values[:kept])
    short = vectors[:, :kept].astype(np.float32)
    axes = (short / singular.astype(np.float32)).T @ centred if wide else np.ascontiguousarray(short.T)
    return Axes(mean, axes, singular)


def _gram(rows: Rows) -> NDArray[np.float64]:
    """Gram matrix [N, N] of rows [N, D], summed in float64, a slice of columns at a time."""
    width = max(1, _CHUNK_VALUES // len(rows))
    total = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], width):
        part = rows[:, start : start + width].astype(np.float64)
        total += part @ part.T
    return total


def _kept(variances: NDArray[np.float64], share: float) -> int:
    """How many of the variances, in descending order, make up `share` of their sum and exceed rounding."""
    if variances[0] <= 0.0:
        return 1
    rank = int(np.sum(variances > variances[0] * _NUMERIC_RANK**2))
    reached = int(np.searchsorted(np.cumsum(variances) / variances.sum(), share - 1e-12)) + 1
    return max(1, min(rank, reached))
