"""Codes on parts: a DataMatrix, QR or bar code in a region of the image gives the part its id.

Needs the `codes` extra (zxing-cpp). Only a region is searched: a DataMatrix in 300×300 pixels takes about a
millisecond, a whole image of a camera up to a hundred times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agent.core.crop import Crop
from agent.core.errors import Permanent
from agent.core.records import Code, Image

# As many characters as a trigger may give; longer ones are no serial numbers.
MAX_CHARACTERS = 128


class CodeReader:
    """Reads the one code in a region of each image. For one thread at a time."""

    def __init__(self, region: Crop, formats: Sequence[str]) -> None:
        """Args:
        region: where the code is, pixels of the source image.
        formats: kinds of codes to look for, by their names in zxing-cpp.

        Raises Permanent where zxing-cpp is not installed.
        """
        try:
            import zxingcpp
        except ImportError:
            raise Permanent("codes are read by zxing-cpp, which is missing: pip install 'inspectd[codes]'") from None
        self._zxing: Any = zxingcpp
        self._formats = zxingcpp.barcode_formats_from_str(",".join(formats))
        self._region = region

    def __call__(self, image: Image) -> Code:
        """The code in the region of a source image [H, W, C], or why there is none; never raises."""
        try:
            part = _eight_bits(self._region.cut(image))
        except Permanent as error:
            return Code(problem=f"code: {error}")
        found = self._zxing.read_barcodes(part, formats=self._formats)
        texts = sorted({code.text for code in found})
        if len(texts) != 1:
            return Code(problem=f"{len(texts)} codes in the region, wanted one" if texts else "no readable code")
        (text,) = texts
        if not 1 <= len(text) <= MAX_CHARACTERS:
            return Code(problem=f"the code has {len(text)} characters, wanted 1 to {MAX_CHARACTERS}")
        if any(_has_controls(code) for code in found) or not text.isprintable():
            return Code(problem="the code has control characters, wanted printable ones only")
        return Code(text=text)


def _has_controls(code: Any) -> bool:
    """Whether a code has control characters, which its text shows as words; GS separates the fields of GS1."""
    separator = 29 if code.content_type.name == "GS1" else None
    return any(byte < 32 or byte == 127 for byte in code.bytes if byte != separator)


def _eight_bits(image: Image) -> Any:
    """The region as zxing-cpp takes it: uint8, [h, w] or [h, w, 3]; 16 bits are stretched to their own range."""
    pixels: Any = image[:, :, 0] if image.shape[2] == 1 else image
    if pixels.dtype == np.uint16:
        low, high = int(pixels.min()), int(pixels.max())
        pixels = ((pixels.astype(np.float32) - low) * (255.0 / max(1, high - low))).astype(np.uint8)
    return np.ascontiguousarray(pixels)
