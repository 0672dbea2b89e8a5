"""Shared by cameras and video files: muting OpenCV, and converting its arrays to our images."""

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
def mute_opencv() -> None:
    """Keep OpenCV and FFmpeg from writing to stderr, where passwords of cameras would bypass our log."""
    # FFmpeg's AV_LOG_QUIET is -8. OpenCV reads the variable when it opens its first stream.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def to_image(pixels: NDArray[Any], source: str) -> Image:
    """Convert a decoded array [H, W] or [H, W, C], uint8 or uint16, to an image [H, W, C], C 1 or 3, contiguous.

    Raises `Permanent`, with the name of the source, for any other shape or type.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim not in (2, 3):
        raise Permanent(f"{source} gives {pixels.dtype} pixels of shape {pixels.shape}, wanted 8 or 16 bits")
    image = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if image.shape[2] not in (1, 3):
        raise Permanent(f"{source} gives {image.shape[2]} channels, wanted 1 or 3")
    return np.ascontiguousarray(image)
