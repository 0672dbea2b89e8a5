"""Check that an image file is complete, by the rules of its format.

Decoders silently fill in missing data, so half an image would be inspected as a complete one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable


def completeness_check(data: bytes) -> Callable[[bytes], bool] | None:
    """The function that checks a file of this format for completeness; None for an unknown format."""
    for magic, check in (
        (b"\x89PNG\r\n\x1a\n", _png_is_complete),
        (b"\xff\xd8\xff", _jpeg_is_complete),
        (b"BM", _bmp_is_complete),
        (b"II*\0", _tiff_is_complete),
        (b"MM\0*", _tiff_is_complete),
    ):
        if data.startswith(magic):
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
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker, size = data[position + 1], struct.unpack_from(">H", data, position + 2)[0]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0xDA:
            return data.find(b"\xff\xd9", position + size) >= 0
        position += 2 + size
    return False


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
    order = "<" if data[:2] == b"II" else ">"
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, directory)
        entries = {}
        for index in range(count):
            tag, kind, values, _ = struct.unpack_from(order + "HHII", data, directory + 2 + 12 * index)
            if tag in (273, 279, 324, 325):  # StripOffsets, StripByteCounts, TileOffsets, TileByteCounts
                entries[tag] = _tiff_values(data, order, directory + 2 + 12 * index + 8, kind, values)
    except struct.error:
        return False
    offsets = entries.get(273, entries.get(324, ()))
    sizes = entries.get(279, entries.get(325, ()))
    return bool(offsets) and all(start + size <= len(data) for start, size in zip(offsets, sizes, strict=False))


def _tiff_values(data: bytes, order: str, field: int, kind: int, count: int) -> tuple[int, ...]:
    code, size = {3: ("H", 2), 4: ("I", 4)}.get(kind, ("I", 4))
    if count * size > len(data) + 4:
        raise struct.error("more values than bytes")
    where = field if count * size <= 4 else struct.unpack_from(order + "I", data, field)[0]
    return struct.unpack_from(f"{order}{count}{code}", data, where)
