"""Shrinking by area: each new pixel is the mean of the patch that it covers, edge pixels by their share.

One rule for CPU and GPU. The CPU's is OpenCV's INTER_AREA (`engines.images.preprocessing`); the GPU's kernel
(`kernels/`)
reads the tables made here, which follow the same definition. `shrink` is that definition in NumPy, for tests: all three
agree within one grey level, since they differ in the order of a sum alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.images.preprocessing import Image


@dataclass(frozen=True, slots=True)
class Spans:
    """Which old pixels make up each new one, along one axis."""

    first: NDArray[np.int32]
    """[n], index of the first old pixel of each new one."""
    count: NDArray[np.int32]
    """[n], how many follow on each other."""
    weight: NDArray[np.float32]
    """[n, most], their shares, 0 beyond `count`; each row sums to 1."""


def spans(source: int, target: int) -> Spans:
    """The tables for shrinking `source` pixels to `target`.

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


def shrink(image: Image, height: int, width: int) -> Image:
    """Shrink a picture [H, W, C] to [height, width, C], same dtype, as the kernel does."""
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
