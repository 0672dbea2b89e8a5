"""JPEG 2000 files (JP2): size, kind, and whether they are complete (ISO/IEC 15444-1, annexes A and I)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engines.images.formats.image_head import ImageHead

_MAGIC = b"\0\0\0\x0cjP  \r\n\x87\n"
_START_OF_CODESTREAM, _END_OF_CODESTREAM = b"\xff\x4f\xff\x51", b"\xff\xd9"
# Enumerated colour spaces.
_RGB, _GRAY = 16, 17


def is_jpeg2000(data: bytes) -> bool:
    """Whether the bytes begin like a JP2 file."""
    return data.startswith(_MAGIC)


def jpeg2000_is_complete(data: bytes) -> bool:
    """Whether every box is inside the file, and the codestream reaches its end marker."""
    boxes = list(_boxes(data, 0, len(data)))
    streams = [(start, end) for kind, start, end in boxes if kind == b"jp2c"]
    inside = all(end <= len(data) for _, _, end in boxes)
    return inside and bool(streams) and data[streams[0][1] - 2 : streams[0][1]] == _END_OF_CODESTREAM


def jpeg2000_head(data: bytes) -> ImageHead:
    """The head of a JP2 file. Raises struct.error or ValueError if it is damaged."""
    boxes = {kind: (start, end) for kind, start, end in reversed(list(_boxes(data, 0, len(data))))}
    if b"jp2c" not in boxes:
        raise ValueError("no codestream")
    start, _ = boxes[b"jp2c"]
    if data[start : start + 4] != _START_OF_CODESTREAM:
        raise ValueError("no start of a codestream")
    right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
    (count,) = struct.unpack_from(">H", data, start + 40)
    components = [struct.unpack_from(">3B", data, start + 42 + 3 * index) for index in range(min(count, 5))]
    header = list(_boxes(data, *boxes[b"jp2h"])) if b"jp2h" in boxes else []
    return ImageHead(right - left, bottom - top, rejection=_rejection(data, count, components, header))


def _rejection(
    data: bytes, count: int, components: list[tuple[int, ...]], header: list[tuple[bytes, int, int]]
) -> str | None:
    """Why this kind is not read. OpenCV scales or assumes where a file is none of these."""
    bits = {(bits & 0x7F) + 1 for bits, _, _ in components}
    spaces = {
        struct.unpack_from(">I", data, start + 3)[0]
        for kind, start, _ in header
        if kind == b"colr" and data[start] == 1
    }
    table = (
        (count not in (1, 3, 4), f"{count} samples per pixel in a JPEG 2000 file, wanted 1 (gray) or 3 (colour)"),
        (any(bits & 0x80 for bits, _, _ in components), "signed samples in a JPEG 2000 file, wanted unsigned"),
        (not bits <= {8} and not bits <= {16}, f"{sorted(bits)} bits per sample in a JPEG 2000 file, wanted 8 or 16"),
        (any((x, y) != (1, 1) for _, x, y in components), "subsampled colours in a JPEG 2000 file, wanted all of them"),
        (any(kind == b"pclr" for kind, _, _ in header), "a palette in a JPEG 2000 file, wanted gray or RGB"),
        (not spaces <= {_RGB, _GRAY}, f"colour space {sorted(spaces)} in a JPEG 2000 file, wanted gray or RGB"),
    )
    return next((reason for rejected, reason in table if rejected), None)


def _boxes(data: bytes, position: int, end_of_all: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of the content of each box; the last one may end beyond the data."""
    while position + 8 <= end_of_all:
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            (size,), head = struct.unpack_from(">Q", data, position + 8), 16
        end = end_of_all if size == 0 else position + size
        if end < position + head:
            raise ValueError("a box that is shorter than its head")
        yield kind, position + head, end
        position = end
