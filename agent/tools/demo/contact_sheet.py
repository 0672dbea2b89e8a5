"""One image of all alarms: each frame beside its heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.alarms import HOTTEST, colour_of
from agent.core.durable_file import write_whole

_Image = NDArray[np.uint8]
Colour = tuple[int, int, int]

# Three alarms in a row fill a screen; beyond eight rows nobody scrolls.
ALARMS_PER_ROW = 3
MAX_ALARMS = 24

# Pixels. The sheet is twice as wide as a page shows it, for screens of high density.
_TILE_WIDTH = 256
_MARGIN, _COLUMN_GAP, _ROW_GAP, _TILE_GAP = 28, 24, 22, 6
_HEADER_HEIGHT, _TITLE_HEIGHT = 84, 32
_WIDTH = 2 * _MARGIN + ALARMS_PER_ROW * (2 * _TILE_WIDTH + _TILE_GAP) + (ALARMS_PER_ROW - 1) * _COLUMN_GAP
_SCALE_WIDTH, _SCALE_HEIGHT = 240, 12

# BGR.
_BACKGROUND, _TEXT, _QUIET, _MISSING = (28, 23, 20), (237, 234, 232), (172, 166, 160), (40, 40, 40)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LARGE, _MEDIUM, _SMALL = 0.95, 0.62, 0.52
"""Factors of the font's own height, about 21 pixels."""


@dataclass(frozen=True, slots=True)
class ContactSheetEntry:
    """One alarm on the sheet."""

    title: str
    caption: str
    frame: Path
    """The overlay, with its strip below the frame, or the frame itself."""
    heatmap: Path


def write_contact_sheet(path: Path, heading: str, entries: Sequence[ContactSheetEntry]) -> None:
    """Write the first `MAX_ALARMS` entries as one image, PNG. Raises Permanent if it cannot be written."""
    shown = entries[:MAX_ALARMS]
    tiles = [(_read(entry.frame), _read(entry.heatmap)) for entry in shown]
    height = _tile_height([heatmap for _, heatmap in tiles])
    row_height = _TITLE_HEIGHT + height + _ROW_GAP
    rows = -(-len(shown) // ALARMS_PER_ROW)
    sheet = np.full((_HEADER_HEIGHT + rows * row_height + _MARGIN - _ROW_GAP, _WIDTH, 3), _BACKGROUND, np.uint8)
    _draw_header(sheet, heading)
    for number, (entry, images) in enumerate(zip(shown, tiles, strict=True)):
        row, column = divmod(number, ALARMS_PER_ROW)
        x = _MARGIN + column * (2 * _TILE_WIDTH + _TILE_GAP + _COLUMN_GAP)
        _draw_alarm(sheet, entry, images, x, _HEADER_HEIGHT + row * row_height, height)
    # The highest compression: the sheet of a long demo is 2 MB as PNG.
    encoded, data = cv2.imencode(".png", sheet, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert encoded
    write_whole(path, data.tobytes())


def _read(path: Path) -> _Image | None:
    """uint8 BGR [H, W, 3]; None if it did not arrive or is damaged."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.exists() else None
    return None if image is None else np.asarray(image, np.uint8)


def _tile_height(heatmaps: Sequence[_Image | None]) -> int:
    """Of the first heatmap, at the width of a tile: all alarms on a sheet are of one camera."""
    shapes = [heatmap.shape for heatmap in heatmaps if heatmap is not None]
    return round(_TILE_WIDTH * shapes[0][0] / shapes[0][1]) if shapes else _TILE_WIDTH


def _draw_header(sheet: _Image, heading: str) -> None:
    """The heading on the left; on the right the colour scale of the heatmaps."""
    _write(sheet, heading, _MARGIN, 50, _LARGE, _TEXT)
    left = _WIDTH - _MARGIN - _SCALE_WIDTH
    # The lower half of the scale is linear up to 1.0, the upper half logarithmic.
    place = np.linspace(0.0, 1.0, _SCALE_WIDTH)
    heat = np.where(place < 0.5, 2.0 * place, HOTTEST ** (2.0 * place - 1.0)).astype(np.float32)
    sheet[24 : 24 + _SCALE_HEIGHT, left : left + _SCALE_WIDTH] = colour_of(heat[None])
    _write(sheet, "as on good parts", left, 56, _SMALL, _QUIET)
    label = "hotter"
    _write(sheet, label, _WIDTH - _MARGIN - _text_width(label, _SMALL), 56, _SMALL, _QUIET)


def _draw_alarm(
    sheet: _Image, entry: ContactSheetEntry, images: tuple[_Image | None, _Image | None], x: int, y: int, height: int
) -> None:
    """Title and caption above the frame, its heatmap to the right; `x`, `y` is the upper left corner."""
    right = x + _TILE_WIDTH + _TILE_GAP
    _write(sheet, entry.title, x, y + 20, _MEDIUM, _TEXT)
    _write(sheet, entry.caption, right, y + 20, _SMALL, _QUIET)
    top = y + _TITLE_HEIGHT
    for left, image in zip((x, right), images, strict=True):
        sheet[top : top + height, left : left + _TILE_WIDTH] = _tile(image, height)


def _tile(image: _Image | None, height: int) -> _Image:
    """The image at the size of a tile; gray if there is none. The strip of an overlay, below the frame, is cut off."""
    if image is None:
        return np.full((height, _TILE_WIDTH, 3), _MISSING, np.uint8)
    rows = round(image.shape[1] * height / _TILE_WIDTH)
    interpolation = cv2.INTER_AREA if image.shape[1] > _TILE_WIDTH else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image[:rows], (_TILE_WIDTH, height), interpolation=interpolation), np.uint8)


def _write(sheet: _Image, text: str, x: int, base: int, size: float, colour: Colour) -> None:
    cv2.putText(sheet, text, (x, base), _FONT, size, colour, 1, cv2.LINE_AA)


def _text_width(text: str, size: float) -> int:
    return int(cv2.getTextSize(text, _FONT, size, 1)[0][0])
