"""WebP and GIF files: size, orientation, and whether they are complete.

WebP: RFC 9649, section 2. GIF: the GIF89a specification of CompuServe, 1990.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engines.images.formats.image_head import ImageHead

_ANIMATION, _TRAILER, _IMAGE, _EXTENSION = 0x02, 0x3B, 0x2C, 0x21
_VP8_START = b"\x9d\x01\x2a"


def is_webp(data: bytes) -> bool:
    """Whether the bytes begin like a WebP file."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def is_gif(data: bytes) -> bool:
    """Whether the bytes begin like a GIF file."""
    return data[:6] in (b"GIF87a", b"GIF89a")


def webp_is_complete(data: bytes) -> bool:
    """Whether all of the RIFF container is there, and every chunk inside it."""
    (size,) = struct.unpack_from("<I", data, 4)
    return len(data) >= 8 + size and all(end <= 8 + size for _, _, end in _webp_chunks(data))


def webp_head(data: bytes) -> tuple[ImageHead, bytes]:
    """The head of a WebP file without its orientation, and its Exif data. Raises struct.error or ValueError."""
    width, height, several, exif = 0, 0, False, b""
    for kind, start, end in _webp_chunks(data):
        if kind == b"VP8X":
            several = bool(data[start] & _ANIMATION)
            size = tuple(1 + int.from_bytes(data[start + at : start + at + 3], "little") for at in (4, 7))
        elif kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, start + 1)
            size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"VP8 ":
            if data[start + 3 : start + 6] != _VP8_START:
                raise ValueError("a VP8 chunk without a key frame")
            size = tuple(value & 0x3FFF for value in struct.unpack_from("<HH", data, start + 6))
        else:
            exif = data[start:end] if kind == b"EXIF" else exif
            continue
        width, height = max(width, size[0]), max(height, size[1])
    return ImageHead(width, height, several=several), exif


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each chunk; the last one may end beyond the data."""
    position = 12
    end_of_file = min(len(data), 8 + int(struct.unpack_from("<I", data, 4)[0]))
    while position + 8 <= end_of_file:
        kind, size = struct.unpack_from("<4sI", data, position)
        yield kind, position + 8, position + 8 + size
        position += 8 + size + size % 2


def gif_is_complete(data: bytes) -> bool:
    """Whether the blocks reach the trailer."""
    try:
        return [kind for kind, _ in _gif_blocks(data)][-1:] == [_TRAILER]
    except IndexError:
        return False


def gif_head(data: bytes) -> ImageHead:
    """The head of a GIF file. Raises struct.error or IndexError if it is damaged."""
    width, height = struct.unpack_from("<HH", data, 6)
    images = [position for kind, position in _gif_blocks(data) if kind == _IMAGE]
    for position in images:
        left, top, columns, rows = struct.unpack_from("<HHHH", data, position + 1)
        width, height = max(width, left + columns), max(height, top + rows)
    return ImageHead(width, height, several=len(images) > 1)


def _gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """(kind, position) of each block. IndexError where the data end inside one."""
    position = 13 + _colours(data[10])
    while True:
        kind = data[position]
        yield kind, position
        if kind == _IMAGE:
            position = _after_sub_blocks(data, position + 11 + _colours(data[position + 9]))
        elif kind == _EXTENSION:
            position = _after_sub_blocks(data, position + 2)
        else:
            return


def _colours(flags: int) -> int:
    """Bytes of the colour table that a field of flags announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while data[position]:
        position += 1 + data[position]
    return position + 1
