"""The directories of a TIFF or BigTIFF file, and the kinds of TIFF that are read (TIFF 6.0, section 2; BigTIFF).

OpenCV decodes the samples. It reads some kinds wrongly and says nothing: those are rejected here, or corrected after
decoding. The same parser reads the Exif data of JPEG and PNG files, which is a TIFF directory.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 256, 257, 258, 262, 274
_SAMPLES, _PLANAR, _SAMPLE_FORMAT = 277, 284, 339
# Bits of the subfile type: a reduced image, the mask of another page.
_NO_PAGE = 1 | 4
_OFFSETS, _SIZES = (273, 324), (279, 325)  # strips, tiles

# Code and size of the field types with whole numbers: BYTE, SHORT, LONG, LONG8.
_TYPES = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}

_ZERO_IS_WHITE, _ZERO_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_SAMPLE_FORMATS = {2: "signed integers", 3: "float"}
_FLOAT, _FLOAT_BITS = 3, (32, 64)

# A page has some twenty tags. A file with more directories or tags than this was made to keep its reader busy.
MAX_PAGES, _MAX_TAGS = 10_000, 1_000_000


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
    """What the directory of a page says about the image."""

    tags: dict[int, Tag] = field(repr=False)
    pages: int
    """Number of images in full resolution in the file."""
    link: Tag | None = None
    """Where the head of the file names the first directory, with the position of the directory of this page."""

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

    @property
    def is_float(self) -> bool:
        """Whether samples are float of a size that is read."""
        return self.value(_SAMPLE_FORMAT, 1) == _FLOAT and self.bits in _FLOAT_BITS

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
            (
                (kind := _SAMPLE_FORMATS.get(self.value(_SAMPLE_FORMAT, 1))) is not None and not self.is_float,
                f"samples are {self.bits}-bit {kind}, wanted 8 or 16 bits unsigned, or 32 or 64 bits of float",
            ),
            (self.bits > 16 and not self.is_float, f"{self.bits} bits per sample, wanted at most 16"),
            (samples == 2, f"gray with alpha in a TIFF of {self.bits} bits, wanted gray alone"),
            (samples not in (1, 3, 4), f"{samples} samples per pixel, wanted 1 (gray) or 3 (colour)"),
            (photometric not in readable, f"photometric interpretation {photometric}, wanted gray or RGB"),
            (planar and self.bits > 8, f"{self.bits}-bit colour in separate planes, wanted interleaved samples"),
        )
        return next((reason for rejected, reason in table if rejected), None)

    def plain(self, data: bytes) -> bytes:
        """The file with this page as its first, and the tags reset that decoders treat differently: upright, 0 is
        black."""
        patched = None
        if self.link is not None and struct.unpack_from(self.link.code, data, self.link.position) != self.link.values:
            patched = bytearray(data)
            struct.pack_into(self.link.code, patched, self.link.position, *self.link.values)
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


def parse_tiff(data: bytes, page: int = 1) -> Tiff:
    """Parse the directory of a page, from 1, and count the pages, at most `MAX_PAGES`.

    Raises struct.error if the directory is not inside the file, or there is no such page.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    word, start = ("Q", 8) if big else ("I", 4)
    (position,) = struct.unpack_from(order + word, data, start)
    pages: list[tuple[int, dict[int, Tag]]] = []
    seen: set[int] = set()
    tags_left = _MAX_TAGS
    while (position and position not in seen and len(pages) < MAX_PAGES and tags_left > 0) or not seen:
        seen.add(position)
        try:
            tags, count, following = _directory(data, order, word, position)
        except struct.error:
            if not pages:
                raise
            break
        # The first directory is that of the image: a thumbnail there is rejected.
        if not pages or not Tiff(tags, 1).value(_SUBFILE_TYPE, 0) & _NO_PAGE:
            pages.append((position, tags if len(pages) in (0, page - 1) else {}))
        tags_left -= count
        position = following
    if page > len(pages):
        raise struct.error("there is no such page")
    position, tags = pages[page - 1]
    return Tiff(tags, len(pages), Tag((position,), start, order + word))


def _directory(data: bytes, order: str, word: str, position: int) -> tuple[dict[int, Tag], int, int]:
    """The tags with whole numbers of the directory at `position`, the number of all its tags, and the position of the
    next one, 0 if none."""
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
    return tags, count, following


def _tag(data: bytes, order: str, word: str, field_position: int, kind: int, count: int) -> Tag:
    code, size = _TYPES[kind]
    if count * size > len(data):
        raise struct.error("more values than bytes")
    inline = count * size <= struct.calcsize(order + word)
    where = field_position if inline else struct.unpack_from(order + word, data, field_position)[0]
    return Tag(struct.unpack_from(f"{order}{count}{code}", data, where), where, order + code)
