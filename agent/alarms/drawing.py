"""Frames and heatmaps as 8-bit images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alarms.heat_colours import HOTTEST, Image8, colour_of
from agent.core.records import Image

# 16 bits are shown through one fixed window, which a calibration has: one that followed the image would hide what
# changed between two images. By default it is the whole range.
WINDOW_16_BIT = (0, 65_535)

# Highest values of sensors and detectors that store 10, 12, 14 or 16 bits in 16.
_FULL_SCALES = (1023, 4095, 16_383, 65_535)

# Masked areas in heatmaps, overlays and `inspectd view`.
MASKED_GREY = 128

# Outlines of regions of higher and lower sensitivity: orange and blue, BGR.
MORE_SENSITIVE, LESS_SENSITIVE = (0, 140, 255), (255, 120, 0)

# The size at which heatmap and overlay fit a person's screen; the frame itself keeps its own size.
MAX_DRAWN_SIDE_PIXELS = 1280
MIN_DRAWN_SIDE_PIXELS = 384


def to_8_bit(image: Image, window: tuple[int, int] = WINDOW_16_BIT) -> Image8:
    """`image` uint8 or uint16 [H, W, 1 or 3] as BGR uint8 [H, W, 3].

    16 bits are mapped linearly from `window`, (the value shown black, the value shown white), and clipped.
    """
    if image.dtype == np.uint16:
        low, high = window
        image = np.clip((image.astype(np.float32) - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    shown = np.asarray(image, np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def grey_out(image: Image8, excluded: NDArray[np.bool_] | None) -> Image8:
    """`image` uint8 [h, w, 3] with grey where a mask [H, W] is True; the same array without a mask."""
    if excluded is None:
        return image
    return np.where(covered(excluded, *image.shape[:2])[:, :, None], np.uint8(MASKED_GREY), image)


def covered(excluded: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    """A mask [H, W] at the size at which its image is drawn, [height, width]."""
    resized = cv2.resize(excluded.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized > 0)


def outline(image: Image8, gains: NDArray[np.float32]) -> Image8:
    """A copy of `image` uint8 [h, w, 3 or 4], BGR and opacity, with regions of other sensitivity outlined.

    `gains` [h, w] is above 0 where what is unusual counts more, below 0 where it counts less.
    """
    drawn: Image8 = np.array(image, order="C")
    for region, colour in ((gains > 0, MORE_SENSITIVE), (gains < 0, LESS_SENSITIVE)):
        contours, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, (*colour, 255), 1)
    return drawn


def stored_window(image: Image) -> tuple[int, int]:
    """The window of an image where no calibration has one: the range of the bits that it seems to be stored with.

    >>> stored_window(np.full((1, 1, 1), 3000, np.uint16))
    (0, 4095)
    """
    highest = int(image.max(initial=0))
    return 0, next(full for full in _FULL_SCALES if highest <= full)


def fit_screen(height: int, width: int) -> tuple[int, int]:
    """(height, width), pixels, at which an image of this size is drawn: neither tiny nor larger than a screen."""
    longest = max(height, width)
    if longest > MAX_DRAWN_SIDE_PIXELS:
        scale = MAX_DRAWN_SIDE_PIXELS / longest
    else:
        scale = float(np.ceil(max(1.0, MIN_DRAWN_SIDE_PIXELS / longest)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarge_heatmap(heatmap: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """`heatmap` float32 [h, w] interpolated to [height, width], ≥ 0."""
    clean = np.nan_to_num(np.asarray(heatmap, np.float32), nan=0.0, posinf=HOTTEST)
    return np.maximum(cv2.resize(clean, (width, height), interpolation=cv2.INTER_CUBIC), 0.0).astype(np.float32)


def draw_heatmap(heatmap: NDArray[np.float32], height: int, width: int) -> Image8:
    """`heatmap` float32 [h, w] in the fixed colours, BGR uint8 [height, width, 3], with a white contour at 1.0."""
    large = enlarge_heatmap(heatmap, height, width)
    image = np.ascontiguousarray(colour_of(large))
    contours, _ = cv2.findContours((large > 1.0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, (255, 255, 255), max(1, round(max(height, width) / 640)), cv2.LINE_AA)
    return image
