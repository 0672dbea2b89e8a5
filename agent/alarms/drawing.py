"""Frames and heatmaps as 8-bit images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alarms.heat_colours import HOTTEST, Image8, colour_of
from agent.core.records import Image

# What 8 bits show of 16: all of it, evenly. A window that followed the picture would hide what changed.
WINDOW_16_BIT = (0, 65_535)


# A person's screen; the frame itself is sent as it is.
MAX_SIDE_PIXELS = 1280


MIN_SIDE_PIXELS = 384


def to_8_bit(image: Image, window: tuple[int, int] = WINDOW_16_BIT) -> Image8:
    """`image` uint8 or uint16 [H, W, 1 or 3] as uint8 BGR [H, W, 3]; 16 bits through the fixed `window` (low, high)."""
    if image.dtype == np.uint16:
        low, high = window
        image = np.clip((image.astype(np.float32) - low) * (255.0 / (high - low)) + 0.5, 0, 255).astype(np.uint8)
    shown = np.asarray(image, np.uint8)
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def fit_screen(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is drawn: neither tiny nor larger than a screen."""
    longest = max(height, width)
    scale = (
        MAX_SIDE_PIXELS / longest if longest > MAX_SIDE_PIXELS else float(np.ceil(max(1.0, MIN_SIDE_PIXELS / longest)))
    )
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarge_heat(heat: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """`heat` [h, w] at [height, width], smooth, never below 0."""
    clean = np.nan_to_num(np.asarray(heat, np.float32), nan=0.0, posinf=HOTTEST)
    return np.maximum(cv2.resize(clean, (width, height), interpolation=cv2.INTER_CUBIC), 0.0).astype(np.float32)


def draw_heatmap(heat: NDArray[np.float32], height: int, width: int) -> Image8:
    """`heat` [h, w] in the fixed colours at [height, width], with the line where it passes 1.0."""
    large = enlarge_heat(heat, height, width)
    picture = np.ascontiguousarray(colour_of(large))
    outline, _ = cv2.findContours((large > 1.0).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outline, -1, (255, 255, 255), max(1, round(max(height, width) / 640)), cv2.LINE_AA)
    return picture
