"""How a good frame may vary and still be good: a little, as parts lie on a line, and a lot, as learning needs it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from engines.damage import Frame, Palette
from engines.shapes import field

# How far a part may lie off, zoom and light may change without being a defect: 3 % of the frame, 3 %, 3 %.
_PLAY = 0.03


def jitter(rng: np.random.Generator, frame: Frame, palette: Palette) -> Frame:
    """Shift, zoom and light a good frame [H, W, C] within `_PLAY`: what the networks must take for sound."""
    height, width = frame.shape[:2]
    zoom, gain = 1.0 + rng.uniform(-_PLAY, _PLAY, 2)
    shift = rng.uniform(-_PLAY, _PLAY, 2) * (width, height)
    if rng.random() < 0.7:
        middle = (1.0 - zoom) / 2 * np.array([width, height]) + shift
        matrix = np.array([[zoom, 0.0, middle[0]], [0.0, zoom, middle[1]]])
        frame = _shaped(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), frame)
    offset = palette.spread * rng.uniform(-_PLAY, _PLAY)
    return np.asarray(np.clip(frame * np.float32(gain) + np.float32(offset), palette.low, palette.high), np.float32)


def view(rng: np.random.Generator, frame: Frame, palette: Palette) -> Frame:
    """The same part seen very differently: turned, sheared, zoomed, bent, thicker or softer, with a piece hidden."""
    height, width = frame.shape[:2]
    rows, columns = _seen_from(rng, height, width)
    seen = cv2.remap(frame, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kind = rng.random()
    if kind < 0.3:
        seen = cv2.blur(seen, (3, 3))
    elif kind > 0.8:
        seen = 0.5 * seen + 0.5 * cv2.dilate(seen, np.ones((3, 3), np.uint8))
    result = _shaped(seen, frame)
    _hide(rng, result)
    gain, offset = 1.0 + rng.uniform(-0.1, 0.1), palette.spread * rng.uniform(-0.1, 0.1)
    return np.asarray(result * np.float32(gain) + np.float32(offset), np.float32)


def _seen_from(rng: np.random.Generator, height: int, width: int) -> tuple[Frame, Frame]:
    """Rows and columns [H, W] to look up: turned up to 17°, zoomed up to 22 %, sheared up to 0.35, and bent."""
    angle, shear, zoom, stretch = rng.uniform(-1, 1, 4) * (0.3, 0.35, 0.2, 0.15)
    zoom, stretch = np.exp(zoom), np.exp(stretch)
    matrix = zoom * np.array(
        [[stretch * np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle) / stretch]]
    ) + np.array([[0.0, shear], [0.0, 0.0]])
    x = np.arange(width, dtype=np.float32)[None, :] - (width - 1) / 2
    y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
    shift = rng.uniform(-0.06, 0.06, 2)
    longest = max(height, width)
    bend, cell = 0.035 * longest, longest / 5
    columns = matrix[0, 0] * x + matrix[0, 1] * y + ((width - 1) / 2 + shift[0] * width)
    rows = matrix[1, 0] * x + matrix[1, 1] * y + ((height - 1) / 2 + shift[1] * height)
    columns = columns + bend * field(rng, height, width, cell)
    rows = rows + bend * field(rng, height, width, cell)
    return rows.astype(np.float32), columns.astype(np.float32)


def _hide(rng: np.random.Generator, frame: Frame) -> None:
    """Cover a square of up to 0.4 of the frame with one of the frame's own values, in place."""
    height, width = frame.shape[:2]
    half = int(rng.uniform(0.0, 0.2) * max(height, width))
    y, x = int(rng.integers(height)), int(rng.integers(width))
    value = frame[int(rng.integers(height)), int(rng.integers(width))].copy()
    frame[max(0, y - half) : y + half, max(0, x - half) : x + half] = value


def _shaped(result: Any, like: Frame) -> Frame:
    shaped: Frame = np.asarray(result, np.float32).reshape(like.shape)
    return shaped
