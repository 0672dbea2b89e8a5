"""The first directory of a TIFF or BigTIFF file, and the kinds of TIFF that are read (TIFF 6.0, section 2; BigTIFF).

OpenCV decodes the samples. It reads some kinds wrongly and says nothing: those are rejected here, or corrected after
decoding. The same parser reads the Exif data of JPEG and PNG files, which is a TIFF directory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_SAMPLES, _PLANAR, _SAMPLE_FORMAT = 277, 284, 339
_OFFSETS, _SIZES = (273, 324), (279, 325)  # strips, tiles

# Code and size of the field types with whole numbers: BYTE, SHORT, LONG, LONG8.
_TYPES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}

_ZERO_IS_WHITE, _ZERO_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_SAMPLE_FORMATS = {2: "signed integers", 3: "float"}


@dataclass(frozen=True, slots=True)
class Tag:
    """One entry of a directory."""

    values: tuple[int, ...]
    position: int
    """Byte offset of the first value in the file."""
    code: str
    """Type and byte order of a value, for `struct`."""


@dataclass(frozen=True, slots=True)
class Tiff:
    """What the first directory says about the image."""

    tags: dict[int, Tag] = field(repr=False)
    pages: int
    """Number of images in full resolution; 2 stands for more than one."""

    def value(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        entry = self.tags.get(tag)
        return entry.values[0] if entry and entry.values else default

    @property
    def width(self) -> int:
        """Columns, pixels; 0 if the file does not give them."""
        return self.value(_WIDTH, 0)

    @property
    def height(self) -> int:
        """Rows, pixels; 0 if the file does not give them."""
        return self.value(_HEIGHT, 0)

    @property
    def bits(self) -> int:
        """Bits of a sample."""
        return self.value(_BITS, 1)

    @property
    def orientation(self) -> int:
        """1 to 8, as in Exif; 1 is upright."""
        return self.value(_ORIENTATION, 1)

    @property
    def zero_is_white(self) -> bool:
        """Whether small values are bright."""
        return self.value(_PHOTOMETRIC, _ZERO_IS_BLACK) == _ZERO_IS_WHITE

    def is_complete(self, size: int) -> bool:
        """Whether all strips or tiles are inside a file of `size` bytes."""
        offsets = next((self.tags[tag].values for tag in _OFFSETS if tag in self.tags), ())
        sizes = next((self.tags[tag].values for tag in _SIZES if tag in self.tags), ())
        return bool(offsets) and all(start + length <= size for start, length in zip(offsets, sizes, strict=False))

    def rejection(self) -> str | None:
        """Why this kind of TIFF is not read, what was got and what was wanted; None if it is read."""
        samples, photometric = self.value(_SAMPLES, 1), self.value(_PHOTOMETRIC, _ZERO_IS_BLACK)
        planar = samples > 1 and self.value(_PLANAR, 1) == 2
        readable = (_ZERO_IS_WHITE, _ZERO_IS_BLACK, _RGB, *((_PALETTE, _YCBCR) if self.bits <= 8 else ()))
        table = (
            (self.value(_SUBFILE_TYPE, 0) & 1, "its first image is a thumbnail, wanted the image itself"),
            (self.pages > 1, "several pages in one TIFF file, wanted one image per file"),
            (
                (kind := _SAMPLE_FORMATS.get(self.value(_SAMPLE_FORMAT, 1))) is not None,
                f"samples are {self.bits}-bit {kind}, wanted 8 or 16 bits unsigned",
            ),
            (self.bits > 16, f"{self.bits} bits per sample, wanted at most 16"),
            (samples == 2, f"gray with alpha in a TIFF of {self.bits} bits, wanted gray alone"),
            (samples not in (1, 3, 4), f"{samples} samples per pixel, wanted 1 (gray) or 3 (colour)"),
            (photometric not in readable, f"photometric interpretation {photometric}, wanted gray or RGB"),
            (planar and self.bits > 8, f"{self.bits}-bit colour in separate planes, wanted interleaved samples"),
        )
        return next((reason for rejected, reason in table if rejected), None)

    def plain(self, data: bytes) -> bytes:
        """The file with the tags reset that decoders treat differently: upright, and 0 is black."""
        patched = None
        for tag, usual in ((_ORIENTATION, 1), (_PHOTOMETRIC, _ZERO_IS_BLACK)):
            entry = self.tags.get(tag)
            if entry is None or entry.values[0] == usual or (tag == _PHOTOMETRIC and not self.zero_is_white):
                continue
            patched = patched or bytearray(data)
            struct.pack_into(entry.code, patched, entry.position, usual)
        return data if patched is None else bytes(patched)


def is_tiff(data: bytes) -> bool:
    """Whether the bytes begin like a TIFF or BigTIFF file."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def parse_tiff(data: bytes) -> Tiff:
    """Parse the first directory and count the pages; struct.error if the directory is not inside the file."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    word, start = ("Q", 8) if big else ("I", 4)
    (position,) = struct.unpack_from(order + word, data, start)
    first, following = _directory(data, order, word, position)
    pages, seen = 1, {position}
    while following and following not in seen and pages < 2:
        seen.add(following)
        try:
            tags, following = _directory(data, order, word, following)
        except struct.error:
            break
        if not Tiff(tags, 1).value(_SUBFILE_TYPE, 0) & 1:
            pages += 1
    return Tiff(first, pages)


def _directory(data: bytes, order: str, word: str, position: int) -> tuple[dict[int, Tag], int]:
    """The tags with whole numbers of the directory at `position`, and the position of the next one, 0 if none."""
    size = struct.calcsize(order + word)
    head = order + ("Q" if word == "Q" else "H")
    (count,) = struct.unpack_from(head, data, position)
    entry = position + struct.calcsize(head)
    if entry + count * (4 + 2 * size) > len(data):
        raise struct.error("the directory is longer than the file")
    tags: dict[int, Tag] = {}
    for _ in range(count):
        number, kind, values = struct.unpack_from(f"{order}HH{word}", data, entry)
        if kind in _TYPES and values and number not in tags:
            tags[number] = _tag(data, order, word, entry + 4 + size, kind, values)
        entry += 4 + 2 * size
    following = struct.unpack_from(order + word, data, entry)[0] if entry + size <= len(data) else 0
    return tags, following


def _tag(data: bytes, order: str, word: str, field_position: int, kind: int, count: int) -> Tag:
    code, size = _TYPES[kind]
    if count * size > len(data):
        raise struct.error("more values than bytes")
    inline = count * size <= struct.calcsize(order + word)
    where = field_position if inline else struct.unpack_from(order + word, data, field_position)[0]
    return Tag(struct.unpack_from(f"{order}{count}{code}", data, where), where, order + code)
