"""What video files and cameras have in common when OpenCV reads them."""

from __future__ import annotations

import functools
import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent
from agent.core.records import Image


@functools.cache
def silence() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr, past our log and with passwords of cameras in it."""
    # FFmpeg's AV_LOG_QUIET is -8. OpenCV reads the variable when it opens its first stream.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def to_image(pixels: NDArray[Any], source: str) -> Image:
    """Bring what OpenCV decoded to [H, W, C], C 1 or 3, contiguous; `Permanent` where that cannot be done."""
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3):
        raise Permanent(f"{source} gives {pixels.dtype} pixels of shape {pixels.shape}, wanted 8 or 16 bits")
    image = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if image.shape[2] not in (1, 3):
        raise Permanent(f"{source} gives {image.shape[2]} channels, wanted 1 or 3")
    return np.ascontiguousarray(image)
