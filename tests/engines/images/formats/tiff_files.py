"""Write TIFF files of every kind byte by byte (TIFF 6.0, section 2), independently of the library that reads them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import numpy as np


def tiff(
    planes: Sequence[bytes],
    width: int,
    height: int,
    *,
    big: bool = False,
    order: str = "<",
    **tags: int | Sequence[int],
) -> bytes:
    """An uncompressed TIFF or BigTIFF with one strip a plane, 8-bit gray unless `tags` (t<number>) differ."""
    word, head = ("Q", 16) if big else ("I", 8)
    offsets = [head + sum(map(len, planes[:index])) for index in range(len(planes))]
    values: dict[int, int | Sequence[int]] = {
        256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, 278: height, 273: offsets, 279: [*map(len, planes)],
    }  # fmt: skip
    values.update({int(name[1:]): value for name, value in tags.items()})
    out = bytearray(head) + b"".join(planes)
    out += bytes(-len(out) % 8)
    entries = _entries(out, values, order, word)
    start = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(values)) + entries + struct.pack(order + word, 0)
    mark = b"II" if order == "<" else b"MM"
    out[:head] = (
        struct.pack(order + "2sHHHQ", mark, 43, 8, 0, start) if big else struct.pack(order + "2sHI", mark, 42, start)
    )
    return bytes(out)


def _entries(out: bytearray, values: Mapping[int, int | Sequence[int]], order: str, word: str) -> bytes:
    size, entries = struct.calcsize(order + word), b""
    for number, value in sorted(values.items()):
        items = [value] if isinstance(value, int) else list(value)
        kind, code = (4, "I") if number in (256, 257, 273, 278, 279) else (3, "H")
        raw = struct.pack(f"{order}{len(items)}{code}", *items)
        if len(raw) > size:
            raw, place = struct.pack(order + word, len(out)), raw
            out += place + bytes(-len(place) % 8)
        entries += struct.pack(f"{order}HH{word}", number, kind, len(items)) + raw.ljust(size, b"\0")
    return entries


def packed(pixels: np.ndarray, bits: int) -> bytes:
    """Gray values [H, W] packed to `bits` each, first bit highest; every row begins with a new byte."""
    rows = ((pixels.astype(np.uint32)[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(len(pixels), -1)
    return np.packbits(rows.astype(np.uint8), axis=1).tobytes()
