"""Size and orientation of an image from the head of its file, before a pixel is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from engines.images.formats.image_head import ImageHead
from engines.images.formats.jpeg2000 import is_jpeg2000, jpeg2000_head
from engines.images.formats.tiff import is_tiff, parse_tiff
from engines.images.formats.web_formats import gif_head, is_gif, is_webp, webp_head

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

JPEG_SCAN, _APP1 = 0xDA, 0xE1
# Start-of-frame markers: all of 0xC0 to 0xCF but DHT, JPG and DAC (ITU-T T.81, table B.1).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# That of JPEG-LS (ITU-T T.87, C.1.1), which has the same layout.
_SOF_LS = 0xF7
_EXIF = b"Exif\0\0"


def read_head(data: bytes, page: int = 1) -> ImageHead:
    """Read the head of a PNG, JPEG, TIFF, BMP, WebP, GIF or JPEG 2000 file; of a TIFF file, that of a page, from 1.

    Raises struct.error, IndexError or ValueError if it is damaged.
    """
    if data.startswith(PNG_MAGIC):
        return _png(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if is_tiff(data):
        tiff = parse_tiff(data, page)
        return ImageHead(tiff.width, tiff.height, _valid(tiff.orientation), tiff.pages > 1)
    if is_webp(data):
        head, exif = webp_head(data)
        return replace(head, orientation=_exif_orientation(exif.removeprefix(_EXIF)))
    if is_gif(data):
        return gif_head(data)
    if is_jpeg2000(data):
        return jpeg2000_head(data)
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return ImageHead(*struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return ImageHead(abs(width), abs(height))


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start of the content, end) of the segments of a JPEG file, up to the head of the first scan."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, size = data[position + 1], struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        yield marker, position + 4, position + 2 + size
        if marker == JPEG_SCAN:
            return
        position += 2 + size


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG or JPEG-LS image, pixels; None without a frame head. struct.error if truncated."""
    for marker, start, _ in jpeg_segments(data):
        if marker in _SOF or marker == _SOF_LS:
            height, width = struct.unpack_from(">HH", data, start + 1)
            return int(width), int(height)
    return None


def _png(data: bytes) -> ImageHead:
    width, height = struct.unpack_from(">II", data, 16)
    orientation, several, position = 1, False, 8
    while position + 12 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"eXIf":  # before or after the pixels
            orientation = _exif_orientation(data[position + 8 : position + 8 + size])
        several = several or (kind == b"acTL" and struct.unpack_from(">I", data, position + 8)[0] > 1)
        position += 12 + size
    return ImageHead(width, height, orientation, several)


def _jpeg(data: bytes) -> ImageHead:
    height, width, orientation = 0, 0, 1
    for marker, start, end in jpeg_segments(data):
        if marker in _SOF:
            height, width = struct.unpack_from(">HH", data, start + 1)
        if marker == _APP1 and data[start : start + 6] == _EXIF:
            orientation = _exif_orientation(data[start + 6 : end])
    return ImageHead(width, height, orientation)


def _exif_orientation(exif: bytes) -> int:
    """The orientation tag of Exif data; upright if there is none or the data are damaged."""
    try:
        return _valid(parse_tiff(exif).orientation) if is_tiff(exif) else 1
    except struct.error:
        return 1


def _valid(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1
