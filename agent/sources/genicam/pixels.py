"""From the bytes of a buffer to an image: the pixel formats of PFNC (GenICam Pixel Format Naming Convention 2.4)."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.errors import Permanent, Temporary
from agent.core.records import Image

Bytes = NDArray[np.uint8]
"""The pixels of one image as the camera sent them, one dimension."""


class PixelFormat(NamedTuple):
    """How the pixels of an image are stored. Values keep the scale of the camera: 12 bits stay 12 bits."""

    name: str
    bits: int
    """Of a sample, as it is stored: 16 for Mono12."""
    packed: str = ""
    """Where several samples share bytes: "p", the lowest bits first; "Packed", two samples in three bytes."""
    convert: int | None = None
    """The conversion of OpenCV to BGR; None for gray."""
    channels: int = 1
    """Samples of a pixel before that conversion."""


# Codes of PFNC. OpenCV names Bayer patterns by the first two rows, as PFNC does, in its constants of four letters.
_BAYER = {"RG": cv2.COLOR_BayerRGGB2BGR, "GR": cv2.COLOR_BayerGRBG2BGR}
_BAYER |= {"GB": cv2.COLOR_BayerGBRG2BGR, "BG": cv2.COLOR_BayerBGGR2BGR}
_BAYER_CODES = {
    # In the order of GR, RG, GB, BG.
    ("8", 8, ""): (0x01080008, 0x01080009, 0x0108000A, 0x0108000B),
    ("10", 16, ""): (0x0110000C, 0x0110000D, 0x0110000E, 0x0110000F),
    ("12", 16, ""): (0x01100010, 0x01100011, 0x01100012, 0x01100013),
    ("16", 16, ""): (0x0110002E, 0x0110002F, 0x01100030, 0x01100031),
    ("10p", 10, "p"): (0x010A0056, 0x010A0058, 0x010A0054, 0x010A0052),
    ("12p", 12, "p"): (0x010C0057, 0x010C0059, 0x010C0055, 0x010C0053),
    ("10Packed", 10, "Packed"): (0x010C0026, 0x010C0027, 0x010C0028, 0x010C0029),
    ("12Packed", 12, "Packed"): (0x010C002A, 0x010C002B, 0x010C002C, 0x010C002D),
}

FORMATS: dict[int, PixelFormat] = {
    0x01080001: PixelFormat("Mono8", 8),
    0x01100003: PixelFormat("Mono10", 16),
    0x01100005: PixelFormat("Mono12", 16),
    0x01100025: PixelFormat("Mono14", 16),
    0x01100007: PixelFormat("Mono16", 16),
    0x010A0046: PixelFormat("Mono10p", 10, "p"),
    0x010C0047: PixelFormat("Mono12p", 12, "p"),
    0x010C0004: PixelFormat("Mono10Packed", 10, "Packed"),
    0x010C0006: PixelFormat("Mono12Packed", 12, "Packed"),
    0x02180014: PixelFormat("RGB8", 8, convert=cv2.COLOR_RGB2BGR, channels=3),
    0x02180015: PixelFormat("BGR8", 8, channels=3),
    0x02200016: PixelFormat("RGBa8", 8, convert=cv2.COLOR_RGBA2BGR, channels=4),
    0x02200017: PixelFormat("BGRa8", 8, convert=cv2.COLOR_BGRA2BGR, channels=4),
    **{
        code: PixelFormat(f"Bayer{pattern}{suffix}", bits, packed, _BAYER[pattern])
        for (suffix, bits, packed), codes in _BAYER_CODES.items()
        for pattern, code in zip(("GR", "RG", "GB", "BG"), codes, strict=True)
    },
}
"""Every format that is read, by its code."""


def image_of(data: Bytes, code: int, width: int, height: int, padding: int, source: str) -> Image:
    """The image in a buffer: [height, width, 1] gray or [height, width, 3] BGR, uint8 or uint16; shares no memory.

    Args:
        data: from the first pixel on; may be longer than the image.
        code: the pixel format, as PFNC numbers it.
        width, height: pixels.
        padding: bytes after each row.
        source: names the camera in errors.

    Raises Permanent for a format that is not read, Temporary for a buffer that is too short.
    """
    found = FORMATS.get(code)
    if found is None:
        names = "Mono8 to Mono16, RGB8, BGR8, RGBa8, BGRa8 or Bayer8 to Bayer16, packed ones too"
        raise Permanent(f"{source} sends pixels of format 0x{code:08x}, wanted {names}: set pixel_format")
    wanted = _bytes_of(found, width, height, padding)
    if data.size < wanted:
        raise Temporary(f"{source} sent {data.size} bytes for {width}×{height} pixels of {found.name}, wanted {wanted}")
    if padding:
        row = _bytes_of(found, width, 1, 0)
        rows = data[:wanted].reshape(height, row + padding)[:, :row]
        samples = np.concatenate([_samples(each, found, width * found.channels) for each in rows])
    else:
        samples = _samples(data[:wanted], found, width * height * found.channels)
    image = samples.reshape(height, width, found.channels)
    if found.convert is not None:
        image = cv2.cvtColor(image, found.convert)
    return cast("Image", image if image.flags.owndata else image.copy())


def _bytes_of(found: PixelFormat, width: int, height: int, padding: int) -> int:
    # GigE Vision's "Packed" puts samples of 10 bits into 12, too.
    bits = 12 if found.packed == "Packed" else found.bits
    return (width * height * found.channels * bits + 7) // 8 + height * padding


def _samples(data: Bytes, found: PixelFormat, count: int) -> NDArray[Any]:
    """The samples [count], uint8 or uint16, of data as long as they are."""
    if found.packed == "Packed":
        return _two_in_three(data, found.bits)[:count]
    if found.packed == "p":
        return _lowest_first(data, found.bits, count)
    return data.view("<u2" if found.bits == 16 else np.uint8)


def _two_in_three(data: Bytes, bits: int) -> NDArray[np.uint16]:
    """Two samples in three bytes: the high bits of the first, the low bits of both, the high bits of the second.

    >>> list(map(hex, _two_in_three(np.array([0xAB, 0x3C, 0xDE], np.uint8), 12)))
    ['0xabc', '0xde3']
    """
    whole = np.zeros(-(-data.size // 3) * 3, np.uint8)
    whole[: data.size] = data
    first, low, second = (whole[index::3].astype(np.uint16) for index in range(3))
    shift, mask = bits - 8, (1 << (bits - 8)) - 1
    samples = np.empty(2 * first.size, np.uint16)
    samples[0::2] = first << shift | (low & mask)
    samples[1::2] = second << shift | (low >> 4 & mask)
    return samples


def _lowest_first(data: Bytes, bits: int, count: int) -> NDArray[np.uint16]:
    """A stream of bits, the lowest bit of each sample first: 5 bytes for 4 samples of 10 bits, 3 for 2 of 12.

    >>> list(map(hex, _lowest_first(np.array([0xBC, 0x3A, 0xDE], np.uint8), 12, 2)))
    ['0xabc', '0xde3']
    >>> list(_lowest_first(np.packbits([1] + 9 * [0] + [1, 1] + 8 * [0] + 20 * [1], bitorder="little"), 10, 4))
    [np.uint16(1), np.uint16(3), np.uint16(1023), np.uint16(1023)]
    """
    group_bytes, group_samples = (5, 4) if bits == 10 else (3, 2)
    groups = -(-data.size // group_bytes)
    whole = np.zeros(groups * group_bytes, np.uint8)
    whole[: data.size] = data
    columns = whole.reshape(groups, group_bytes).astype(np.uint16)
    samples = np.empty((groups, group_samples), np.uint16)
    for index in range(group_samples):
        first, shift = divmod(index * bits, 8)
        samples[:, index] = (columns[:, first] >> shift | columns[:, first + 1] << (8 - shift)) & ((1 << bits) - 1)
    return samples.reshape(-1)[:count]
