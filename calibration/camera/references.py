"""What calibrations know of the usual images of a camera, against which a faulty one is recognised."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Range:
    """Median and extreme quantiles of one measure over the good images."""

    low: float
    """1 % quantile."""
    middle: float
    """Median."""
    high: float
    """99 % quantile."""


@dataclass(frozen=True, slots=True)
class ViewReference:
    """The usual view of the camera: the reference by which a shifted, defocused or frozen camera is found."""

    image: NDArray[np.float32] = field(repr=False, compare=False)
    """Median of the good images, reduced, share of full scale [h, w]. Its key in the record is "picture"."""
    shift: Range
    """Shift of a good image against the median one, share of the longer side."""
    match: Range
    """Correlation of a good image with the median one, at most 1."""
    detail: Range
    """Energy of fine structure over that of coarse structure."""
    edges: Range
    """The part of `detail` above the level of noise and uniform texture."""
    structure: Range
    """Energy of coarse structure, squared levels."""
    longest_repeat: int
    """Longest run of images that repeat the previous one, frames."""


@dataclass(frozen=True, slots=True)
class CameraReference:
    """Ranges of measures of the good images: a faulty camera leaves them."""

    height: int
    """Pixels."""
    width: int
    """Pixels."""
    channels: int
    """1 (gray) or 3 (BGR)."""
    mean_level: Range
    """Mean brightness of an image, share of full scale."""
    high_level: Range
    """Level exceeded by 1 % of the pixels of an image, share of full scale."""
    saturated_share: Range
    """Share of pixels at the top of the range, 0 to 1."""
    sharpness: Range
    """Variance of the Laplacian, squared levels."""
    moved_share: Range
    """Share of sampled pixels that differ from the previous frame: 0 is frozen."""
    view: ViewReference | None = None
    """None in calibrations of the first versions, which did not measure it."""


@dataclass(frozen=True, slots=True)
class SourceReference:
    """The images of the window as the source delivered them."""

    height: int | None
    """Pixels; None where the images had several sizes."""
    width: int | None
    """Pixels; None where the images had several sizes."""
    black: int
    """Grey value that is shown black to people."""
    white: int
    """Grey value that is shown white."""
