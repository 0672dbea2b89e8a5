"""Pictures as bytes: encode, and make smaller to fit a limit."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Below this a heatmap tells nothing.
MIN_SIDE_PIXELS = 16

_EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg"}


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An encoded picture."""

    payload: bytes
    media_type: str
    scale: float = 1.0
    """Its side over the side of the original."""


def encode(image: NDArray[np.uint8], media_type: str, *, quality: int = 90) -> bytes:
    """`image` uint8 [H, W, 1 or 3] (BGR) as PNG or JPEG; `quality` 0 to 100 is for JPEG."""
    extension = _EXTENSIONS[media_type]
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if extension == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 4]
    done, data = cv2.imencode(extension, image, options)
    if not done:
        raise ValueError(f"cannot encode {image.shape} {image.dtype} as {media_type}")
    return data.tobytes()


def shrink(payload: bytes, media_type: str, max_bytes: int) -> EncodedImage | None:
    """The picture at half the side, or a quarter …, so that it fits; None where no picture would be left."""
    if media_type not in _EXTENSIONS:
        return None
    image = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        return None
    scale = 1.0
    while True:
        scale /= 2
        height, width = (round(side * scale) for side in image.shape[:2])
        if min(height, width) < MIN_SIDE_PIXELS:
            return None
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        data = encode(np.asarray(small, np.uint8), media_type)
        if len(data) <= max_bytes:
            return EncodedImage(data, media_type, scale)
