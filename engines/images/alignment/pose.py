"""Where a part lies in an image, and the part cut out upright.

Places are in pixels with fractions: pixel i reaches from i to i + 1. OpenCV counts from the middle of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import CropBox
from engines.images.preprocessing import Image, three_axes

Matrix = NDArray[np.float64]
"""Affine map [2, 3] of places (x, y)."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How a part lies in a source image, compared with the taught one."""

    right: float
    """Shift of the middle of the reference, pixels of the source image."""
    down: float
    """The same, downwards."""
    degrees: float
    """Turn about that middle, clockwise as seen."""
    match: float
    """Correlation with the reference, 0 to 1."""
    middle: tuple[float, float]
    """The middle (x, y) of the reference in the taught image, pixels."""

    def to_source(self, crop: CropBox) -> Matrix:
        """The map from places in the upright `crop` to places in the source image.

        >>> Pose(3.0, -2.0, 90.0, 1.0, (10.0, 10.0)).to_source(CropBox(x=10, y=10, width=4, height=4)).round(6) + 0.0
        array([[ 0., -1., 13.],
               [ 1.,  0.,  8.]])
        """
        turn = turned_by(self.degrees)
        middle = np.array(self.middle)
        shift = middle + (self.right, self.down) + turn @ (np.array([crop.x, crop.y]) - middle)
        return np.column_stack([turn, shift])

    def __str__(self) -> str:
        """For people: `3.0 px right, 2.0 px up, turned by 1.5° clockwise, match 0.93`."""
        across, along = ("right" if self.right >= 0 else "left"), ("down" if self.down >= 0 else "up")
        way = "clockwise" if self.degrees >= 0 else "anticlockwise"
        return (
            f"{abs(self.right):.1f} px {across}, {abs(self.down):.1f} px {along}, turned by {abs(self.degrees):.1f}° "
            f"{way}, match {self.match:.2f}"
        )


def turned_by(degrees: float) -> Matrix:
    """The rotation [2, 2], clockwise as seen, since y points down."""
    angle = np.radians(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def of_centres(matrix: Matrix) -> Matrix:
    """A map of places as a map of the middles of pixels, as OpenCV wants it."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5])


def of_places(matrix: Matrix) -> Matrix:
    """The inverse of `of_centres`: a map of the middles of pixels as a map of places."""
    return np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (0.5, 0.5) + 0.5])


def cut_upright(image: Image, pose: Pose, crop: CropBox, *, nearest: bool = False) -> Image:
    """The part [h, w, C] of a source image [H, W, C] that lies in `crop` once the part lies as in the taught image.

    Interpolated linearly, or from the `nearest` pixel for masks; beyond the image, its edge is repeated. It has the
    scale of the source image, since only shrinking by area keeps fine structure from turning into noise.
    """
    method = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    upright = cv2.warpAffine(
        image,
        of_centres(pose.to_source(crop)),
        (crop.width, crop.height),
        flags=method | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return three_axes(upright)
