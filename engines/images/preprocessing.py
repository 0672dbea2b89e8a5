"""From the pixels of a file or a camera to the model's input frame.

Sixteen bits stay sixteen bits: nothing here scales grey values, which is the first step of the network.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.bundles import Geometry
from engines.errors import ImageError

Image = NDArray[np.uint8] | NDArray[np.uint16]
"""Pixels, [H, W, C]: C is 1 (gray) or 3 (BGR)."""


def fit(image: Image, geometry: Geometry) -> Image:
    """Fit an image [H, W, C] to a model's input [h, w, c], same dtype; the result may share memory with the image.

    Shrinks by area, or enlarges linearly if one axis is too small; the aspect ratio may change. Converts gray to BGR or
    BGR to gray if the model needs it. Raises ImageError for another bit depth, since 8 bits stretched to 16 would
    differ from the training images.
    """
    check_image(image)
    if image.dtype != geometry.dtype:
        raise ImageError(
            f"the image has {image.dtype.itemsize * 8} bits per sample, the model wants {geometry.bit_depth}"
        )
    pixels = _with_channels(image, geometry.channels)
    if pixels.shape[:2] == (geometry.height, geometry.width):
        return pixels
    shrinks = pixels.shape[0] >= geometry.height and pixels.shape[1] >= geometry.width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return three_axes(cv2.resize(pixels, (geometry.width, geometry.height), interpolation=method))


def check_image(image: Image) -> None:
    """Raise ImageError unless an array is an image: uint8 or uint16, [H, W, 1 or 3], not empty."""
    if not isinstance(image, np.ndarray):
        raise ImageError(f"the image is a {type(image).__name__}, wanted a numpy array [H, W, C]")
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"the image is {image.dtype}, wanted uint8 or uint16")
    if image.ndim != 3 or image.shape[2] not in (1, 3) or image.size == 0:
        raise ImageError(f"the image has shape {image.shape}, wanted (H, W, 1) or (H, W, 3)")


def _with_channels(image: Image, channels: int) -> Image:
    if image.shape[2] == channels:
        return image
    code = cv2.COLOR_GRAY2BGR if channels == 3 else cv2.COLOR_BGR2GRAY
    return three_axes(cv2.cvtColor(image, code))


def three_axes(pixels: Any) -> Image:
    """Pixels [H, W] or [H, W, C] as [H, W, C]: OpenCV drops the axis of a single channel."""
    return cast(Image, pixels[:, :, None] if pixels.ndim == 2 else pixels)
