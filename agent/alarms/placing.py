"""Evidence of a part that was found turned or shifted, as the camera saw it: image, heatmap and mask turned back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.crop import Crop
from agent.core.records import Frame

# Cells of the heatmap that is turned back, for one of its own: then every cell is in it, with its value.
_FINER = 2.0


class Placed(NamedTuple):
    """What an alarm shows of a frame: a rectangle of its source image."""

    frame: Frame
    """Its image is that rectangle."""
    heatmap: NDArray[np.float32]
    """Of the rectangle, float32 [h, w]."""
    crop: Crop | None
    """The rectangle, in pixels of the source image; None: all of it, or what the settings say."""


def as_captured(frame: Frame, heatmap: NDArray[np.float32]) -> Placed:
    """The frame and its calibrated heatmap [h, w] in the place where the camera saw the part.

    For a part that was cut out upright, the rectangle around it, of which the rest counts as excluded; for any other
    frame, the same frame and heatmap.
    """
    if frame.to_source is None or frame.source is None:
        return Placed(frame, heatmap, None)
    height, width = frame.image.shape[:2]
    box = _around(frame.to_source, width, height, frame.source.shape)
    from_box = _inverse(frame.to_source, box)
    excluded = np.zeros((height, width), np.uint8) if frame.excluded is None else frame.excluded.astype(np.uint8)
    outside = _turned(excluded, from_box, (box.height, box.width), (1.0, 1.0), beyond=1) > 0
    scale = (heatmap.shape[1] / width, heatmap.shape[0] / height)
    rows, columns = (max(1, round(_FINER * side * max(scale))) for side in (box.height, box.width))
    heat = _turned(
        heatmap, from_box @ _stretch(box.width / columns, box.height / rows), (rows, columns), scale, beyond=0
    )
    placed = replace(frame, image=box.cut(frame.source), excluded=outside, to_source=None, content=None)
    return Placed(placed, np.asarray(heat, np.float32), box)


def _around(to_source: NDArray[np.float64], width: int, height: int, shape: tuple[int, ...]) -> Crop:
    """The smallest rectangle of a source image [H, W, …] around an upright part of this size; at least a pixel."""
    corners = to_source @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    limit = np.array([[shape[1]], [shape[0]]])
    low = np.clip(np.floor(corners.min(axis=1, keepdims=True)), 0, limit - 1).astype(int)
    high = np.clip(np.ceil(corners.max(axis=1, keepdims=True)), low + 1, limit).astype(int)
    x, y, right, bottom = (int(value) for value in (*low[:, 0], *high[:, 0]))
    return Crop(x=x, y=y, width=right - x, height=bottom - y)


def _inverse(to_source: NDArray[np.float64], box: Crop) -> NDArray[np.float64]:
    """The map [3, 3] from places in `box` to places in the upright part."""
    forth = np.vstack([to_source, [0.0, 0.0, 1.0]])
    moved: NDArray[np.float64] = np.linalg.inv(forth) @ np.array([[1, 0, box.x], [0, 1, box.y], [0, 0, 1]])
    return moved


def _stretch(x: float, y: float) -> NDArray[np.float64]:
    return np.diag([x, y, 1.0])


def _turned(
    layer: Any, from_box: NDArray[np.float64], size: tuple[int, int], scale: tuple[float, float], *, beyond: int
) -> Any:
    """A layer of the upright part, of `scale` cells per pixel, at `size` (rows, columns); `beyond` the part.

    Each place gets the value of its nearest cell: none is made up, and the highest stays the highest.
    """
    middle = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = (np.linalg.inv(middle) @ _stretch(*scale) @ from_box @ middle)[:2]
    return cv2.warpAffine(
        layer,
        matrix,
        size[::-1],
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(beyond,),
    )
