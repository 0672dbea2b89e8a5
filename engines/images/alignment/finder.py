"""Finds the taught reference in an image: shift and turn, coarse first, then fine.

Coarse: the image is shrunk so that the reference is about 40 pixels long, turned in steps of three degrees, and
compared with the reference at every shift (normalised cross-correlation). Fine: from the best of these, the
correlation is maximised at the reference's own size (ECC: Evangelidis and Psarakis, "Parametric Image Alignment Using
Enhanced Correlation Coefficient Maximization", 2008). Both ignore light and contrast.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Alignment, CropBox
from engines.errors import ImageError, PartNotFoundError
from engines.images.alignment.pose import Matrix, Pose, of_centres, of_places, turned_by
from engines.images.preprocessing import Image

Gray = NDArray[np.float32]
"""Gray values [h, w]."""

# Longest side of the reference in the coarse search, pixels, and the step of its turns: a pixel at its end. Half of a
# step and half of a pixel are well within the reach of the fine search, since OpenCV smooths by five pixels.
_COARSE_SIDE, _STEP_DEGREES = 40, 3.0

# The fine search takes 4 to 12 iterations on parts, and goes on for ever on what is none.
_ITERATIONS, _LEAST_GAIN = 20, 1e-4

# The coarse search is off by no more than this, and one of its pixels.
_LEFT_PIXELS = 4

# The coarse search sees less detail, and is off by up to half of a step: parts matched there by 0.8 of their final
# match or more. Below this share of the least match, no fine search is worth its time.
_COARSE_SHARE = 0.5

# An image whose gray values differ less than this from each other shows nothing to be found: the correlation would be
# that of rounding errors.
_LEAST_DEVIATION = 1e-3


class _Coarse(NamedTuple):
    match: float
    degrees: float
    place: Matrix
    """Middle of the coarse reference (x, y), pixels of the coarse image."""


def check_aligned_size(image: Image, alignment: Alignment) -> None:
    """Raise ImageError unless a source image [H, W, C] has the size of the taught one."""
    if image.shape[:2] != (alignment.height, alignment.width):
        raise ImageError(
            f"the image is {image.shape[1]}×{image.shape[0]}, wanted {alignment.width}×{alignment.height}, the size of "
            "the image that the alignment was taught with"
        )


def find_part(image: Image, alignment: Alignment) -> Pose:
    """Where the part lies in a source image [H, W, C], uint8 or uint16.

    Raises ImageError for an image of another size than the taught one, PartNotFoundError where nothing within the
    limits matches well enough.
    """
    check_aligned_size(image, alignment)
    return _finder(alignment).find(image)


@lru_cache(maxsize=16)
def _finder(alignment: Alignment) -> PartFinder:
    return PartFinder(alignment)


class PartFinder:
    """Searches for one reference. Thread-safe: it only reads what it has prepared."""

    def __init__(self, alignment: Alignment) -> None:
        self._limits, self._shrunk = alignment.limits, alignment.shrunk
        self._shift = min(alignment.limits.max_shift_pixels, max(alignment.width, alignment.height))
        region = alignment.region
        self._middle = np.array([region.x + region.width / 2, region.y + region.height / 2])
        self._reference = alignment.pixels().astype(np.float32)
        self._factor = -(-max(self._reference.shape) // _COARSE_SIDE)
        self._coarse_reference = _shrink(self._reference, self._factor)
        self._half = np.array(self._reference.shape[::-1]) / 2
        # Rows and columns that fill no whole pixel of the coarse search are missing at its right and bottom.
        self._missing = self._half - np.array(self._coarse_reference.shape[::-1]) * self._factor / 2
        self._window = self._searched(alignment)
        steps = int(np.ceil(self._limits.max_angle_degrees / _STEP_DEGREES))
        self._angles = np.linspace(-self._limits.max_angle_degrees, self._limits.max_angle_degrees, 2 * steps + 1)

    def find(self, image: Image) -> Pose:
        """Where the part lies in an image [H, W, C] of the taught size. Raises PartNotFoundError."""
        window, factor = self._window, self._factor
        part = image[window.y : window.y + window.height, window.x : window.x + window.width]
        fine = _shrink(_gray(_area(part, self._shrunk)), 1)
        coarse = self._search(_shrink(fine, factor))
        if coarse is None or coarse.match < _COARSE_SHARE * self._limits.least_match:
            raise self._not_found(0.0 if coarse is None else coarse.match)
        return self._refine(fine, coarse)

    def _searched(self, alignment: Alignment) -> CropBox:
        """The part of the image in which the reference can lie, in whole pixels of the coarse search."""
        region, unit = alignment.region, self._shrunk * self._factor
        reach = np.hypot(region.width, region.height) / 2 + np.hypot(1, 1) * self._shift + unit
        size = np.array([alignment.width, alignment.height])
        low = np.maximum(self._middle - reach, 0).astype(int)
        extent = np.maximum((np.minimum(self._middle + reach, size).astype(int) - low) // unit * unit, unit)
        return CropBox(x=int(low[0]), y=int(low[1]), width=int(extent[0]), height=int(extent[1]))

    def _search(self, image: Gray) -> _Coarse | None:
        """The best shift and turn in a coarse image; None where it shows nothing."""
        rows, columns = self._coarse_reference.shape
        unit = self._shrunk * self._factor
        margin = int(np.ceil(self._shift / unit)) + 1
        size = columns + 2 * margin, rows + 2 * margin
        middle = (self._middle - (self._window.x, self._window.y)) / unit
        found: _Coarse | None = None
        for degrees in self._angles:
            turn = turned_by(float(degrees))
            matrix = np.column_stack([turn, middle - turn @ (np.array(size) / 2)])
            turned = _warp(image, matrix, size)
            if turned.std() < _LEAST_DEVIATION:
                continue
            matches = cv2.matchTemplate(turned, self._coarse_reference, cv2.TM_CCOEFF_NORMED)
            _, match, _, corner = cv2.minMaxLoc(np.nan_to_num(matches, nan=0.0, posinf=0.0, neginf=0.0))
            if found is None or match > found.match:
                place = middle + turn @ (np.array(corner) - margin)
                found = _Coarse(float(match), float(degrees), place)
        return found

    def _refine(self, image: Gray, coarse: _Coarse) -> Pose:
        """The pose in the fine image from that of the coarse search.

        The image is turned by the coarse angle first: what is left is a small turn, as OpenCV's ECC wants it.
        """
        turn = turned_by(coarse.degrees)
        margin = _LEFT_PIXELS + self._factor
        corner = coarse.place * self._factor + turn @ (self._missing - self._half - margin)
        turned = np.column_stack([turn, corner])
        size = self._reference.shape[1] + 2 * margin, self._reference.shape[0] + 2 * margin
        upright = _warp(image, turned, size)
        start = np.array([[1, 0, margin], [0, 1, margin]], np.float32)
        enough = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, _ITERATIONS, _LEAST_GAIN)
        try:
            match, found = cv2.findTransformECC(self._reference, upright, start, cv2.MOTION_EUCLIDEAN, enough)
        except cv2.error:  # it does not converge: this is no part
            raise self._not_found(coarse.match) from None
        left = of_places(found.astype(np.float64))
        return self._checked(turned @ np.vstack([left, [0.0, 0.0, 1.0]]), float(match))

    def _checked(self, matrix: Matrix, match: float) -> Pose:
        """The pose by the map from places in the reference to places in the fine image. Raises PartNotFoundError."""
        turn = matrix[:, :2]
        middle = turn @ self._half + matrix[:, 2]
        right, down = middle * self._shrunk + (self._window.x, self._window.y) - self._middle
        pose = Pose(
            float(right),
            float(down),
            float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))),
            match,
            (float(self._middle[0]), float(self._middle[1])),
        )
        limits = self._limits
        if not match >= limits.least_match:
            raise self._not_found(match)
        if max(abs(right), abs(down)) > limits.max_shift_pixels or abs(pose.degrees) > limits.max_angle_degrees:
            raise PartNotFoundError(f"no part was found within the limits: {pose}, wanted {limits}")
        return pose

    def _not_found(self, match: float) -> PartNotFoundError:
        wanted = self._limits.least_match
        return PartNotFoundError(
            f"no part was found: the best match is {max(match, 0.0):.2f}, wanted {wanted:g} or more"
        )


def shrink_reference(image: Image, region: CropBox, factor: int) -> Gray:
    """The gray values of a region of an image [H, W, C], shrunk by a whole factor that divides its sides."""
    return _gray(_area(image[region.y : region.y + region.height, region.x : region.x + region.width], factor))


def _warp(image: Gray, matrix: Matrix, size: tuple[int, int]) -> Gray:
    """The image [height, width] of `size` (width, height) whose places `matrix` maps to places in `image`."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(image, of_centres(matrix), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _area(image: Any, factor: int) -> Any:
    """Means of squares of `factor` pixels; rows and columns that fill none are left out."""
    height, width = (side // factor for side in image.shape[:2])
    if factor == 1:
        return image
    return cv2.resize(image[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)


def _shrink(image: Gray, factor: int) -> Gray:
    return np.asarray(_area(image, factor), np.float32)


def _gray(image: Any) -> Gray:
    """Gray values as float32 [h, w] of an image [h, w], or [h, w, C] in BGR order."""
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    return np.asarray(image, np.float32)
