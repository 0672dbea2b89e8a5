"""Check that an image file is complete, by the rules of its format.

Decoders silently fill in missing data, so half an image would be inspected as a complete one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from engines.images.formats.head import JPEG_SCAN, PNG_MAGIC, jpeg_segments
from engines.images.formats.jpeg2000 import is_jpeg2000, jpeg2000_is_complete
from engines.images.formats.tiff import is_tiff, parse_tiff
from engines.images.formats.web_formats import gif_is_complete, is_gif, is_webp, webp_is_complete


def completeness_check(data: bytes) -> Callable[[bytes], bool] | None:
    """The function that checks a file of this format for completeness; None for an unknown format."""
    for magic, check in (
        (PNG_MAGIC, _png_is_complete),
        (b"\xff\xd8\xff", _jpeg_is_complete),
        (b"BM", _bmp_is_complete),
    ):
        if data.startswith(magic):
            return check
    for is_format, check in (
        (is_tiff, _tiff_is_complete),
        (is_webp, webp_is_complete),
        (is_gif, gif_is_complete),
        (is_jpeg2000, jpeg2000_is_complete),
    ):
        if is_format(data):
            return check
    return None


def _png_is_complete(data: bytes) -> bool:
    """Whether every chunk up to IEND has the right CRC (PNG specification, section 5)."""
    position = 8
    while position + 12 <= len(data):
        (size,) = struct.unpack_from(">I", data, position)
        end = position + 8 + size
        if end + 4 > len(data) or struct.unpack_from(">I", data, end)[0] != zlib.crc32(data[position + 4 : end]):
            return False
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position = end + 4
    return False


def _jpeg_is_complete(data: bytes) -> bool:
    """Whether an end-of-image marker follows the first scan; a thumbnail's does not count (ITU-T T.81, annex B)."""
    ends = [end for marker, _, end in jpeg_segments(data) if marker == JPEG_SCAN]
    return bool(ends) and data.find(b"\xff\xd9", ends[0]) >= 0


def _bmp_is_complete(data: bytes) -> bool:
    """Whether all rows of the header are there (uncompressed files only; the decoder checks compressed ones)."""
    if len(data) < 34:
        return False
    start, header, width, height = struct.unpack_from("<IIii", data, 10)
    if header < 40:
        return len(data) > int(start)
    bits, compression = struct.unpack_from("<HI", data, 28)
    row_bytes = (abs(width) * bits + 31) // 32 * 4
    return bool(compression not in (0, 3) or len(data) >= start + row_bytes * abs(height))


def _tiff_is_complete(data: bytes) -> bool:
    """Whether the first directory and its strips or tiles are inside the file (TIFF 6.0, section 2)."""
    try:
        return parse_tiff(data).is_complete(len(data))
    except struct.error:
        return False
