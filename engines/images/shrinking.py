"""Shrink by area: each new pixel is the mean of the patch that it covers, with edge pixels weighted by their share.

CPU and GPU follow the same rule. The CPU uses OpenCV's INTER_AREA (`engines.images.preprocessing`); the GPU's kernel
(`engines/runtime/tensorrt/kernels`) reads the tables of this module. `shrink_by_area` is the definition in NumPy, for
tests. All three agree within one grey level, because they differ only in the order of a sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.images.preprocessing import Image


@dataclass(frozen=True, slots=True)
class Spans:
    """The old pixels of each new one, along one axis."""

    first: NDArray[np.int32]
    """[n], index of the first old pixel."""
    count: NDArray[np.int32]
    """[n], number of consecutive old pixels."""
    weight: NDArray[np.float32]
    """[n, largest count], their weights, 0 beyond `count`; each row sums to 1."""


def spans(source: int, target: int) -> Spans:
    """The tables for shrinking `source` pixels to `target` ≤ `source`.

    >>> print(spans(5, 2).weight)
    [[0.4 0.4 0.2]
     [0.2 0.4 0.4]]
    """
    edges = np.arange(target + 1) * source / target
    begin, end = edges[:-1], edges[1:]
    first = np.minimum(np.floor(begin).astype(np.int32), source - 1)
    last = np.maximum(np.minimum(np.ceil(end).astype(np.int32), source), first + 1)
    index = first[:, None] + np.arange(np.max(last - first))
    overlap = np.minimum(index + 1, end[:, None]) - np.maximum(index, begin[:, None])
    weight = np.where(index < last[:, None], np.maximum(overlap, 0.0), 0.0)
    return Spans(
        first, (last - first).astype(np.int32), (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    )


def shrink_by_area(image: Image, height: int, width: int) -> Image:
    """Shrink an image [H, W, C] to [height, width, C], same dtype."""
    rows, columns = (
        _matrix(spans(image.shape[0], height), image.shape[0]),
        _matrix(spans(image.shape[1], width), image.shape[1]),
    )
    mean = np.einsum("yh,hwc,xw->yxc", rows, image.astype(np.float32), columns, optimize=True)
    shrunk: Image = np.rint(mean).astype(image.dtype)
    return shrunk


def _matrix(table: Spans, source: int) -> NDArray[np.float32]:
    """The tables as a matrix [target, source]."""
    matrix = np.zeros((len(table.first), source), np.float32)
    for row, (first, count) in enumerate(zip(table.first, table.count, strict=True)):
        matrix[row, first : first + count] = table.weight[row, :count]
    return matrix
