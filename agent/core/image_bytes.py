"""Encode an image, and shrink an encoded one to fit a byte limit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# A heatmap smaller than this shows nothing.
MIN_SHRUNK_SIDE_PIXELS = 16

_EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An image as PNG or JPEG."""

    payload: bytes
    media_type: str
    """`image/png` or `image/jpeg`."""
    scale: float = 1.0
    """Its side divided by the side of the original, above 0 and at most 1."""


def encode(image: NDArray[np.uint8] | NDArray[np.uint16], media_type: str, *, quality: int = 90) -> bytes:
    """Encode `image` [H, W, 1 or 3] (BGR) as PNG, uint8 or uint16, or as JPEG, uint8; `quality`, 0 to 100, is of JPEG.

    Raises ValueError where OpenCV cannot encode it, KeyError for another media type.
    """
    extension = _EXTENSIONS[media_type]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if extension == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 4]
    done, data = cv2.imencode(extension, image, options) if image.size > 0 else (False, None)
    if not done or data is None:
        raise ValueError(f"cannot encode {image.shape} {image.dtype} as {media_type}")
    return data.tobytes()


def shrink_encoded(payload: bytes, media_type: str, max_bytes: int) -> EncodedImage | None:
    """Halve the side of an encoded image until it takes `max_bytes` at most.

    None where its shorter side would fall below `MIN_SHRUNK_SIDE_PIXELS`, or where `payload` is no PNG or JPEG.
    """
    if media_type not in _EXTENSIONS:
        return None
    image = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    scale = 1.0
    while True:
        scale /= 2
        height, width = (round(side * scale) for side in image.shape[:2])
        if min(height, width) < MIN_SHRUNK_SIDE_PIXELS:
            return None
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        data = encode(np.asarray(small, np.uint8), media_type)
        if len(data) <= max_bytes:
            return EncodedImage(data, media_type, scale)
