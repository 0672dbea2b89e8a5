"""The overlay: the frame with its heatmap on top, boxes around hot regions, and a strip with score and colour scale."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alarms.drawing import enlarge_heatmap
from agent.alarms.heat_colours import Image8, colour_of
from agent.core.records import Region

# Heat becomes visible at the first value and reaches full strength at the second, so that good parts look unchanged.
FIRST_SHOWN, FULLY_SHOWN = 0.5, 1.0
STRONGEST_BLEND = 0.6

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STRIP, _TEXT, _QUIET = (28, 23, 20), (234, 232, 230), (166, 160, 154)
_TICKS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


def draw_overlay(
    frame: Image8, heatmap: NDArray[np.float32], hot: Sequence[Region], *, captions: Sequence[str]
) -> Image8:
    """The frame at the size of the heatmap, with a strip below it: BGR uint8 [h + strip, w, 3].

    Args:
        frame: BGR uint8 [H, W, 3].
        heatmap: calibrated, float32 [h, w], ≥ 0.
        hot: the regions that get a box, hottest first, in pixels of the frame.
        captions: the lines of the strip.
    """
    height, width = heatmap.shape
    interpolation = cv2.INTER_AREA if width < frame.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(frame, (width, height), interpolation=interpolation)
    blended = _blend(np.asarray(resized, np.uint8), heatmap)
    unit = max(1.0, max(height, width) / 640.0)
    # The hottest box comes last, so that nothing covers it or its label.
    for number, region in reversed(list(enumerate(hot))):
        _draw_box(blended, region, width / frame.shape[1], height / frame.shape[0], unit, first=number == 0)
    return np.vstack([blended, _strip(width, unit, captions)])


def heat_layer(heatmap: NDArray[np.float32], height: int, width: int) -> Image8:
    """The heat as a layer over its frame, as `draw_overlay` blends it: uint8 [height, width, 4], BGR and opacity."""
    large = enlarge_heatmap(heatmap, height, width)
    alpha = np.round(255.0 * _opacity(large)).astype(np.uint8)
    return np.dstack([colour_of(large), alpha])


def _opacity(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    # Squared, so that values that good parts reach now and then are only a hint.
    return np.asarray(STRONGEST_BLEND * np.clip((heat - FIRST_SHOWN) / (FULLY_SHOWN - FIRST_SHOWN), 0.0, 1.0) ** 2)


def _blend(image: Image8, heat: NDArray[np.float32]) -> Image8:
    alpha = _opacity(heat)[:, :, None]
    mixed = image * (1.0 - alpha) + colour_of(heat) * alpha
    return np.ascontiguousarray(np.round(mixed).astype(np.uint8))


def _draw_box(image: Image8, region: Region, x_scale: float, y_scale: float, unit: float, *, first: bool) -> None:
    """A box a little larger than the region, to leave it visible; with a dark edge, to stand out on any background."""
    margin, thick = round(4 * unit), max(1, round((1.6 if first else 1.0) * unit))
    height, width = image.shape[:2]
    left = max(0, round(region.x * x_scale) - margin)
    top = max(0, round(region.y * y_scale) - margin)
    right = min(width - 1, round((region.x + region.width) * x_scale) + margin)
    bottom = min(height - 1, round((region.y + region.height) * y_scale) + margin)
    cv2.rectangle(image, (left, top), (right, bottom), (20, 20, 20), thick + 2, cv2.LINE_AA)
    cv2.rectangle(image, (left, top), (right, bottom), (255, 255, 255), thick, cv2.LINE_AA)
    if first:
        _draw_peak(image, f"{region.peak:.1f}", left, top, bottom, unit)


def _draw_peak(image: Image8, text: str, left: int, top: int, bottom: int, unit: float) -> None:
    """The peak as a small label above the hottest box; below it where there is no room above."""
    size, (width, height) = 0.42 * unit, cv2.getTextSize(text, _FONT, 0.42 * unit, 1)[0]
    pad = round(3 * unit)
    base = top - pad if top - height - 2 * pad >= 0 else min(image.shape[0] - pad, bottom + height + 2 * pad)
    left = min(left, image.shape[1] - width - 2 * pad)
    cv2.rectangle(image, (left, base - height - pad), (left + width + 2 * pad, base + pad), (20, 20, 20), cv2.FILLED)
    cv2.putText(image, text, (left + pad, base), _FONT, size, (255, 255, 255), max(1, round(unit)), cv2.LINE_AA)


def _strip(width: int, unit: float, captions: Sequence[str]) -> Image8:
    """The captions on the left, the colour scale with its ticks on the right."""
    line = round(17 * unit)
    strip = np.full((line * len(captions) + round(10 * unit), width, 3), _STRIP, np.uint8)
    bar = round(min(170 * unit, 0.34 * width))
    room = width - bar - round(34 * unit)
    for number, caption in enumerate(captions):
        size = 0.43 * unit
        wide = cv2.getTextSize(caption, _FONT, size, 1)[0][0]
        size *= min(1.0, room / max(1, wide))
        at = (round(8 * unit), round(17 * unit) + number * line)
        colour = _TEXT if number == 0 else _QUIET
        cv2.putText(strip, caption, at, _FONT, size, colour, max(1, round(unit)), cv2.LINE_AA)
    _draw_scale(strip, width - bar - round(14 * unit), bar, unit)
    return strip


def _draw_scale(strip: Image8, left: int, width: int, unit: float) -> None:
    top, height = round(8 * unit), round(9 * unit)
    place = np.linspace(0.0, 1.0, width)
    heat = np.where(place < 0.5, 2.0 * place, 8.0 ** (2.0 * place - 1.0)).astype(np.float32)
    strip[top : top + height, left : left + width] = colour_of(heat[None])
    for tick in _TICKS:
        at = tick / 2.0 if tick < 1.0 else 0.5 + 0.5 * np.log2(tick) / 3.0
        x = left + round(at * (width - 1))
        if tick == 1.0:
            cv2.line(strip, (x, top - round(2 * unit)), (x, top + height + round(2 * unit)), _TEXT, max(1, round(unit)))
        text = f"{tick:g}"
        wide = cv2.getTextSize(text, _FONT, 0.34 * unit, 1)[0][0]
        base = (x - wide // 2, top + height + round(13 * unit))
        cv2.putText(strip, text, base, _FONT, 0.34 * unit, _TEXT if tick == 1.0 else _QUIET, 1, cv2.LINE_AA)
